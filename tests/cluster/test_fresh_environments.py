"""The compiled steps in fresh environments, each made only from its image's requirements."""

import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from kfp import dsl, local
from kfp.local import subprocess_task_handler

from components.check_settings.component import settings
from components.common.store import Store
from components.counter import bundle as bundles
from components.download.component import download
from components.evaluate.component import evaluate
from components.explore.component import explore
from components.settings.parameters import PARAMETERS
from components.split.component import split
from components.train.component import train
from tests.cluster.image_environment import image_environment
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
RUN = "fresh"
IMAGES = ("control", "train", "serve")
TRAINING = {"image_size": 32, "epochs": 1, "batch_size": 8, "threads": 1, "decode_threads": 1}


@dsl.pipeline(name="fresh")
def workflow(training: dict = TRAINING) -> None:
    """The pipeline up to deployment, which on one machine starts the predictor from the same environment."""
    defaults = {name: parameter.default for name, parameter in PARAMETERS.items()}
    asked = {**defaults, "source": "rendered:60", "split": "60/20/20", "training": training}
    settled = settings(**asked).outputs["settings"]
    bins = download(settings=settled).outputs["bins"]
    dataset = split(bins=bins, settings=settled).outputs["dataset"]
    explore(bins=bins, dataset=dataset)
    model = train(dataset=dataset, settings=settled, run_id=RUN).outputs["model"]
    evaluate(dataset=dataset, model=model, run_id=RUN)


@pytest.fixture(scope="module")
def pythons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An interpreter for each image, in an environment of its own."""
    folder = tmp_path_factory.mktemp("images")
    requirements = ROOT / "requirements"
    return {image: image_environment(requirements / f"{image}.txt", folder / image) for image in IMAGES}


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_no_image_lacks_anything_for_its_steps(
    pythons: dict[str, Path],
    store: Store,
    store_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key, value in {**store_environment, "INVENTORY_BUCKET": store.bucket, "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(key, value)

    logs: list[str] = []

    def run(task: Any) -> Any:
        image = task.image.rpartition("/")[2].partition(":")[0]
        command = subprocess_task_handler.replace_python_executable(task.full_command, str(pythons[image]))
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        printed = done.stdout + done.stderr
        assert done.returncode == 0, f"{image}: {printed[-3000:]}"
        logs.append(printed)
        return subprocess_task_handler.status.Status.SUCCESS

    monkeypatch.setattr(subprocess_task_handler.SubprocessTaskHandler, "run", run)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "artifacts"))
    workflow()
    kept = [path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    kept += [
        store.get_bytes(key).decode(errors="replace") for key in store.list("") if key.endswith((".json", ".html"))
    ]
    for credential in (store_environment["AWS_SECRET_ACCESS_KEY"], store_environment["AWS_ACCESS_KEY_ID"]):
        assert not any(credential in text for text in logs + kept), (
            "a credential reached a log, an artifact or an object"
        )
    bundle = bundles.fetch(store, f"runs/{RUN}/model", tmp_path / "bundle")
    assert bundle.counts == [1, 2, 3, 4, 5]

    listening = ["--host", "127.0.0.1", "--port", "18099"]
    command = [str(pythons["serve"]), "-m", "components.serve", "--bundle", str(tmp_path / "bundle"), *listening]
    with (tmp_path / "serve.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
    try:
        wait_until(lambda: _ready("http://127.0.0.1:18099/v2/health/ready"), "the predictor is ready", 60)
    finally:
        server.terminate()
        server.wait(20)


def _ready(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
