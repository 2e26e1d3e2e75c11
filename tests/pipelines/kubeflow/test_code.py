from pathlib import Path

import pytest
import yaml

from components.cluster.jobs.pytorchjob import pytorchjob
from components.cluster.jobs.trainjob import trainjob
from components.common.errors import InventoryError
from components.common.files import sha256_bytes
from components.common.provenance import commit
from components.common.step.code import CODE_ALLOWED, CODE_VARIABLE, pack, take_code
from components.common.store import Store
from components.settings.cluster import ClusterSettings
from pipelines.cli.main import main
from pipelines.compiler import compile_pipeline
from pipelines.kubeflow.arguments import environment_of
from pipelines.kubeflow.code import with_code
from pipelines.kubeflow.package import default_version, read_package
from tests.common.test_code import checkout
from tests.pipelines.kubeflow.kfp_api import KfpApi, serving
from tests.pipelines.test_compiler import GOLDEN, small_pipeline

SHA256 = "0a" * 32


@pytest.fixture(autouse=True)
def _place(store: Store, store_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**store_environment, "INVENTORY_BUCKET": store.bucket}.items():
        monkeypatch.setenv(name, value)


def test_every_step_is_told_the_code_and_but_for_the_name_nothing_else_changes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with with_code(GOLDEN["inventory"], checkout(tmp_path)) as package:
        changed = list(yaml.safe_load_all(package.read_text()))
    ir, *platform = yaml.safe_load_all(GOLDEN["inventory"].read_text())
    assert changed[0]["pipelineInfo"].pop("name") == f"{ir['pipelineInfo'].pop('name')}-code"
    told = set()
    for name, executor in changed[0]["deploymentSpec"]["executors"].items():
        last = executor["container"]["env"].pop()
        assert last["name"] == CODE_VARIABLE, name
        told.add(last["value"])
    assert changed == [ir, *platform]
    (sha256,) = told
    assert (take_code(sha256, store) / "marker.py").read_text() == "print('of the working tree')"


def test_a_run_of_other_code_adds_no_version_to_the_pipeline_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    package = compile_pipeline(tmp_path / "p.yaml", small_pipeline("registry/control:1.2"))
    with serving(KfpApi()) as api:
        command = ["submit", "--host", api.url, "--package", str(package), "--no-follow"]
        main(command)
        for says in ("one thing", "another"):
            main([*command, "--code", str(checkout(tmp_path / says, says))])
        pipelines = {item["pipeline_id"]: item["display_name"] for item in api.pipelines}
        versions = {item["pipeline_version_id"]: item["display_name"] for item in api.versions}
        started = [run["pipeline_version_reference"] for run in api.runs]
    assert [pipelines[run["pipeline_id"]] for run in started] == ["small", "small-code", "small-code"]
    released, *others = [versions[run["pipeline_version_id"]] for run in started]
    assert released == default_version(package)
    for version, says in zip(others, ("one thing", "another"), strict=True):
        assert version.startswith(f"1.2-code.{sha256_bytes(pack(tmp_path / says))[:12]}-")


def test_without_a_folder_the_package_is_the_compiled_one() -> None:
    with with_code(GOLDEN["inventory"], None) as package:
        assert package == GOLDEN["inventory"]


def test_a_pipeline_that_was_compiled_for_its_images_alone_takes_no_other_code(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CODE_ALLOWED, "no")
    package = compile_pipeline(tmp_path / "p.yaml", small_pipeline("registry/control:1"))
    monkeypatch.delenv(CODE_ALLOWED)
    assert environment_of(read_package(package))[CODE_ALLOWED] == "no"
    with (
        pytest.raises(InventoryError, match=r"--code is refused; .* compiled with INVENTORY_CODE_ALLOWED=no"),
        with_code(package, checkout(tmp_path)),
    ):
        pass
    assert list(store.list("code/")) == []


@pytest.mark.parametrize("describe", [pytorchjob, trainjob])
def test_workers_run_what_their_step_runs(describe, monkeypatch: pytest.MonkeyPatch) -> None:
    def environment() -> dict[str, str | None]:
        spec = describe("train-x", "team", "x", [], ClusterSettings())["spec"]
        pods = spec.get("pytorchReplicaSpecs", {}).values()
        containers = [each["template"]["spec"]["containers"][0] for each in pods] or [spec["trainer"]]
        return {each["name"]: each.get("value") for each in containers[0]["env"]}

    monkeypatch.delenv(CODE_VARIABLE, raising=False)
    assert CODE_VARIABLE not in environment()
    monkeypatch.setenv(CODE_VARIABLE, SHA256)
    assert environment()[CODE_VARIABLE] == SHA256


@pytest.mark.parametrize(("of_image", "named"), [("abc", "abc"), ("", "unknown"), (None, "unknown")])
def test_a_models_provenance_names_the_code_and_the_image_that_it_ran_on(
    of_image: str | None, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INVENTORY_COMMIT", raising=False)
    if of_image is not None:
        monkeypatch.setenv("INVENTORY_COMMIT", of_image)
    monkeypatch.setenv(CODE_VARIABLE, SHA256)
    assert commit() == f"{named}+code.{SHA256}"
