"""KFP interface of the tune step."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from components.common.step.component import control_component


@control_component
def tune(
    dataset: Input[Dataset],
    settings: Input[Artifact],
    chosen: Output[Artifact],
    report: Output[HTML],
    run_id: str,
) -> None:
    """Searches better hyperparameters: with Katib on a cluster, with Optuna on one machine.

    Args:
        dataset: what split made; the test split is not opened.
        settings: what the settings step completed; its option `tune` says whether there is a search.
        chosen: the same settings with the best hyperparameters; those that the run gives explicitly stay.
        report: what was tried, and whether the result is better than the given hyperparameters.
        run_id: names the run.
    """
    from pathlib import Path

    from components.common.files import write_json
    from components.common.step.run_step import main_step, run_name
    from components.common.store import open_store
    from components.counter.dataset import DatasetManifest
    from components.settings.run import RunSettings
    from components.tune.step import tune as tune_hyperparameters

    def work() -> None:
        store = open_store()
        given = RunSettings.load(settings.path)
        outcome = tune_hyperparameters(store, DatasetManifest.load(dataset.path), given, run_name(run_id))
        write_json(Path(chosen.path), outcome["settings"])
        store.get_file(outcome["report_key"], Path(report.path))

    main_step(work)
