"""The commands for what was trained, as a person types them, on a real object store."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import BundleMetrics
from components.documents.gated import Decision
from components.evaluate.step import evaluate
from components.registry.registry import facts_of, open_registry, put_in_service, read_index, register
from pipelines.cli.main import main
from tests.evaluate.conftest import Made
from tests.evaluate.conftest import make as make
from tests.gate.test_challenge import put
from tests.signing_keys import write_pair

NAME = "bin-counter"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def inventory(
    store: Store, store_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> Command:
    """Runs a command in an empty folder; gives exit code, output and error output."""
    for name, value in {**store_environment, "INVENTORY_BUCKET": store.bucket, "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(list(arguments))
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def made(make: Callable[..., Made]) -> Made:
    return make()


def metrics(accuracy: float) -> dict[str, Any]:
    return {
        "n": 120,
        "accuracy": accuracy,
        "within_one": 0.9,
        "mae": 0.5,
        "rmse": 0.8,
        "loss": 1.2,
        "intervals": {"accuracy": [accuracy - 0.05, accuracy + 0.05]},
        "per_count": {
            "1": {"precision": None, "recall": accuracy, "support": 60, "predicted": 0},
            "2": {"precision": None, "recall": None, "support": 0, "predicted": 0},
        },
    }


def add(made: Made, folder: Path, version: str, accuracy: float, dataset_id: str = "d" * 64) -> None:
    """Registers a model with these numbers."""
    key = put(
        made,
        folder / version,
        f"runs/{version}/model",
        made.counts,
        version=version,
        provenance={"dataset_id": dataset_id, "dataset_key": "dataset.json"},
        metrics={"test": metrics(accuracy)},
    )
    made.store.put_bytes("dataset.json", made.dataset.model_dump_json().encode())
    bundle = bundles.fetch_description(made.store, key)
    decision = Decision(promote=accuracy > 0.3, summary="as the gate says")
    register(open_registry(made.store, {}), NAME, facts_of(made.store, key, bundle, version, decision))


def test_the_list_of_models_has_whole_words_in_80_columns(
    made: Made, tmp_path: Path, inventory: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run = "2b8b5a4e-7d53-4b8f-9d4b-0d8a0f5f8c11"
    add(made, tmp_path, run, 0.55)
    add(made, tmp_path, run.replace("2b", "3c"), 0.45)
    put_in_service(open_registry(made.store, {}), made.store, NAME, f"runs/{run}/model", run)
    words = inventory("models")[1].split()
    assert {run, "service", "candidate", "UTC", "approved", "55.0", "50.0", "60.0"} <= set(words)
    assert max(map(len, words)) == len(run)


def test_models_are_listed_shown_and_compared(made: Made, tmp_path: Path, inventory: Command) -> None:
    assert inventory("models") == (0, "no model is registered as bin-counter; a run registers what it trains\n", "")
    add(made, tmp_path, "old", 0.45)
    add(made, tmp_path, "new", 0.55, dataset_id="e" * 64)
    add(made, tmp_path, "bad", 0.20)
    put_in_service(open_registry(made.store, {}), made.store, NAME, "runs/old/model", "old")
    put_in_service(open_registry(made.store, {}), made.store, NAME, "runs/new/model", "new")

    code, listed, _ = inventory("models")
    assert code == 0
    lines = [line for line in listed.splitlines() if "UTC" in line]
    assert [line.split()[0] for line in lines] == ["bad", "new", "old"]
    assert all(word in line for word, line in zip(["rejected", "in service", "the one before"], lines, strict=True))
    assert "refused" in lines[0]

    _, shown, _ = inventory("models", "new")
    assert made.store.uri("runs/new/model") in shown
    assert "by run new" in shown
    _, compared, _ = inventory("models", "old", "new")
    exact = next(line for line in compared.splitlines() if "exact" in line)
    assert "45.0" in exact
    assert "60.0" in exact  # the upper end of the interval of the other
    assert "tested on different bins" in compared
    rows = json.loads(inventory("models", "--json")[1])
    assert [(row["version"], row["state"], row["before"]) for row in rows] == [
        ("bad", "rejected", False),
        ("new", "in service", False),
        ("old", "archived", True),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["models", "x"], "there is no model x; none is registered"),
        (["promote", "x"], "there is no model x"),
        (["rollback"], "there is nothing to go back to: no model was ever in service as bin-counter"),
        (["reproduce", "x"], "there is no model x"),
        (["reproduce", "runs/x/model"], "there is no such object"),
        (["promote", "x", "--context", "c"], "--context needs --namespace"),
    ],
)
def test_a_mistake_is_one_line(inventory: Command, arguments: list[str], words: str) -> None:
    code, _, error = inventory(*arguments)
    assert code == 1
    assert words in error
    assert len(error.strip().splitlines()) == 1


def test_promote_and_rollback_say_what_they_did_and_how_to_serve(
    made: Made, tmp_path: Path, inventory: Command
) -> None:
    for version in ("a", "b"):
        add(made, tmp_path, version, 0.5)
    put_in_service(open_registry(made.store, {}), made.store, NAME, "runs/a/model")
    code, output, _ = inventory("promote", "b")
    assert code == 0
    assert "bin-counter: b is in service now instead of a; the gate was not asked" in output
    assert "smoke test: 8 labelled bins answered as the model does" in output
    assert "serve it: inventory serve runs/b/model" in output
    assert bundles.load(Path("runs/b/model")).version == "b"
    code, output, _ = inventory("rollback")
    assert code == 0
    assert "bin-counter: a is in service again instead of b" in output
    assert read_index(open_registry(made.store, {}), NAME).in_service.version == "a"


def test_sign_and_verify_work_on_a_registered_model_and_on_a_folder(
    made: Made, tmp_path: Path, inventory: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, others = write_pair(tmp_path / "keys"), write_pair(tmp_path / "others")
    add(made, tmp_path, "a", 0.5)
    code, _, error = inventory("verify", "a", "--public-key", str(keys.public))
    assert (code, "is not signed" in error) == (1, True)
    assert inventory("sign", "a")[2].startswith("error: no key to sign with: give --key FILE")
    code, output, error = inventory("sign", "a", "--key", str(keys.private))
    assert (code, error) == (0, "")
    assert "a: signed; verify it: inventory verify a --public-key FILE" in output
    assert inventory("verify", "a", "--public-key", str(keys.public))[0] == 0
    assert "Key mismatch" in inventory("verify", "a", "--public-key", str(others.public))[2]
    monkeypatch.setenv("INVENTORY_PUBLIC_KEY", str(keys.public))
    assert inventory("promote", "a")[0] == 0, "it is signed"
    assert inventory("verify", "runs/a/model")[0] == 0, "its signature has come with it"
    Path("runs/a/model/model_card.md").write_text("another")
    assert "does not hold" in inventory("verify", "runs/a/model")[2]
    add(made, tmp_path, "b", 0.5)
    assert "is not signed" in inventory("promote", "b")[2], "and that one is not"
    assert inventory("sign", "nothing", "--key", str(keys.private))[0] == 1


def test_prune_says_what_it_would_free_before_it_does(made: Made, tmp_path: Path, inventory: Command) -> None:
    for version in ("a", "b", "c"):
        add(made, tmp_path, version, 0.5)
    put_in_service(open_registry(made.store, {}), made.store, NAME, "runs/a/model")
    assert "nothing to remove: 3 models" in inventory("prune")[1]
    code, output, _ = inventory("prune", "--keep", "1", "--older-than", "0", "--dry-run")
    assert code == 0
    assert "would free" in output
    assert list(made.store.list("runs/b/"))
    code, output, _ = inventory("prune", "--keep", "1", "--older-than", "0")
    assert code == 0
    assert "removed 1 models" in output
    assert not list(made.store.list("runs/b/"))
    assert list(read_index(open_registry(made.store, {}), NAME).entries) == ["a", "c"]


def evaluated(made: Made) -> str:
    evaluate(made.store, made.dataset, made.publish(), "run-1")
    key = "runs/run-1/model"
    register(
        open_registry(made.store, {}),
        NAME,
        facts_of(made.store, key, bundles.fetch_description(made.store, key), "run-1"),
    )
    return key


def test_numbers_are_confirmed_after_everything_but_the_store_is_gone(
    made: Made, tmp_path: Path, inventory: Command
) -> None:
    key = evaluated(made)
    shutil.rmtree(tmp_path / "model")  # what the run left on this machine
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.arrow").unlink()
    for model in ("run-1", key, made.store.uri(key)):
        code, output, progress = inventory("reproduce", model)
        assert code == 0, output
        assert f"{model}: the numbers are confirmed" in output
    assert "accuracy: recorded" in output
    assert "test bins: 120 of 120" in progress  # the bins were fetched and scored, not remembered


def test_changed_numbers_are_not_confirmed(made: Made, tmp_path: Path, inventory: Command) -> None:
    key = evaluated(made)
    bundle = bundles.fetch(made.store, key, tmp_path / "fetched")
    claimed = bundle.metrics.test.model_copy(update={"accuracy": bundle.metrics.test.accuracy + 0.05})
    bundles.save(bundle.model_copy(update={"metrics": BundleMetrics(test=claimed)}), tmp_path / "fetched")
    bundles.upload(made.store, tmp_path / "fetched", key)
    code, output, _ = inventory("reproduce", "run-1", "--json")
    assert code == 1
    assert json.loads(output)["confirmed"] is False


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_numbers_are_confirmed_in_a_fresh_environment(made: Made, inventory: Command) -> None:
    evaluated(made)
    code, output, error = inventory("reproduce", "run-1", "--fresh-environment")
    assert code == 0, error
    assert "the numbers are confirmed" in output


def test_without_a_store_or_runs_there_are_no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    for name in ("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["models"]) == 1
    assert "there are no runs in runs; name their folder with --runs" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
