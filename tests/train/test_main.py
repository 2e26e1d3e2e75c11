import pytest

from components.common.errors import InventoryError
from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.documents.training_spec import TrainingSpec
from components.settings.training import TrainingSettings
from components.train import __main__ as module
from tests.train.fitting import fast


@pytest.fixture
def started(store: Store, store_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[TrainingSpec]:
    """The jobs that the command line would run."""
    for name, value in {**store_environment, "INVENTORY_BUCKET": store.bucket}.items():
        monkeypatch.setenv(name, value)
    jobs: list[TrainingSpec] = []
    monkeypatch.setattr(module, "run_job", lambda job, store: jobs.append(job))
    return jobs


def test_every_training_option_is_an_option_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        module.main(["--help"])
    text = capsys.readouterr().out
    assert all(f"--{name} " in text for name in TrainingSettings.model_fields)


def test_a_trial_overrides_a_job_by_options(store: Store, started: list[TrainingSpec]) -> None:
    job = TrainingSpec(run_id="r", dataset_key="d.json", output="runs/r", settings=fast(epochs=7))
    store.put_bytes(job.job_key, job.model_dump_json().encode())
    module.main(["--job", store.uri(job.job_key), "--learning_rate", "1e-4", "--output", "trials/5"])
    assert started[0].settings == fast(epochs=7, learning_rate=1e-4)
    assert started[0].outcome_key == "trials/5/train/outcome.json"
    assert started[0].dataset_key == "d.json"


def test_a_dataset_file_and_a_preset_make_a_job(store: Store, started: list[TrainingSpec], drawn_path, drawn) -> None:
    module.main(["--dataset", str(drawn_path), "--output", "runs/mine", "--preset", "published", "--epochs=2"])
    assert (started[0].run_id, started[0].settings.backbone, started[0].settings.epochs) == ("mine", "resnet50", 2)
    assert DatasetManifest.model_validate_json(store.get_bytes(started[0].dataset_key)) == drawn


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --job, or --dataset and --output"),
        (["--job", "missing.json"], "there is no such object"),
        (["--job", "broken.json"], "broken.json is no training job: run_id: Field required"),
        (["--dataset", "d", "--output", "o", "--epochs", "0"], "epochs = '0' is refused"),
    ],
)
def test_arguments_that_cannot_work_are_one_line(
    store: Store, started: list[TrainingSpec], arguments: list[str], message: str
) -> None:
    store.put_bytes("broken.json", b"{}")
    store.put_bytes("d", b"{}")
    with pytest.raises(InventoryError, match=message):
        module.main(arguments)
    assert not started
