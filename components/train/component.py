"""KFP interface of the train step."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output

from components.common.step.component import train_component


@train_component
def train(dataset: Input[Dataset], settings: Input[Artifact], model: Output[Model], run_id: str) -> None:
    """Trains a counter of the items in a bin and writes its model bundle to the object store.

    Where the run asks for it, better hyperparameters are searched before: with Katib on a cluster, with Optuna on one
    machine. A step of its own would take its pods in a run without a search too: Kubeflow Pipelines starts nothing
    that comes after a step which was skipped.

    Args:
        dataset: what split made.
        settings: what the settings step completed.
        model: a small JSON file: where the bundle lies, validation metrics, history and settings.
        run_id: names the bundle's folder in the store.
    """
    from pathlib import Path

    from components.cluster.jobs.choose import cluster_launcher
    from components.common.step.run_step import main_step, run_name
    from components.common.store import open_store
    from components.counter.dataset import DatasetManifest
    from components.settings.run import RunSettings
    from components.tracking.figures import log_epochs, log_settings
    from components.tracking.step import log_to_mlflow
    from components.train.step import train as train_model
    from components.tune.step import tune

    def work() -> None:
        store, name, chosen = open_store(), run_name(run_id), RunSettings.load(settings.path)
        bins = DatasetManifest.load(dataset.path)
        if chosen.tune:
            found = tune(store, bins, chosen, name)
            chosen = RunSettings.model_validate(found["settings"])
            model.metadata["search_page_key"] = found["report_key"]
        log_to_mlflow(lambda run: log_settings(run, chosen, name, bins.dataset_id))
        trained = train_model(
            store,
            bins,
            name,
            training=chosen.training.model_dump(mode="json"),
            trained=chosen.trained.model_dump() if chosen.trained else None,
            launcher=cluster_launcher(chosen.cluster),
        )
        trained.write(Path(model.path))
        log_to_mlflow(lambda run: log_epochs(run, trained.history))

    main_step(work)
