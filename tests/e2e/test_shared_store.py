"""The whole workflow in a store of several teams, with keys for one prefix of its one bucket and nothing else."""

import json
from pathlib import Path

import pytest

from components.common.local_store.server import local_store
from components.common.store import open_store
from tests.e2e.conftest import Inventory

PREFIX = "private/team/inventory"


@pytest.mark.slow
def test_every_step_and_command_keeps_to_the_prefix(inventory: Inventory, tmp_path: Path) -> None:
    rights = [f"{action}:mlpipeline/private/team/*" for action in ("Read", "Write", "List")]
    identities = [
        {"name": name, "credentials": [{"accessKey": f"{name}-key", "secretKey": f"{name}-secret"}], "actions": actions}
        for name, actions in (("owner", ["Admin", "Read", "Write", "List"]), ("team", rights))
    ]
    (tmp_path / "s3.json").write_text(json.dumps({"identities": identities}))
    with local_store(tmp_path) as environment:
        whole = open_store({**environment, "INVENTORY_BUCKET": "mlpipeline"})
        team = {
            "S3_ENDPOINT_URL": environment["S3_ENDPOINT_URL"],
            "AWS_ACCESS_KEY_ID": "team-key",
            "AWS_SECRET_ACCESS_KEY": "team-secret",
            "INVENTORY_BUCKET": "mlpipeline",
            "INVENTORY_PREFIX": PREFIX,
        }
        for run_id in ("one", "two"):
            code, output = inventory.run_small(run_id, "--split-seed", str(len(run_id)), **team)
            assert code == 0, output
        result = json.loads((inventory.folder / "runs/one/result.json").read_text())
        address = result["model_uri"]
        assert address.startswith(f"s3://mlpipeline/{PREFIX}/runs/one/")
        for command in (("models",), ("reproduce", address), ("prune", "--keep", "1")):
            code, output = inventory(*command, **team)
            assert code == 0, output
        code, output = inventory("models", **{**team, "INVENTORY_PREFIX": "private/other"})
        assert code == 1
        assert output.startswith("error: cannot open s3://mlpipeline/private/other/: ")
        keys = list(whole.list(""))
        assert {key.removeprefix(f"{PREFIX}/").split("/")[0] for key in keys} >= {"runs", "registry", "completions"}
        assert [key for key in keys if not key.startswith(f"{PREFIX}/")] == []
