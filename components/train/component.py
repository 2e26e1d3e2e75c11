"""KFP interface of the train step."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output

from components.common.step.component import train_component


@train_component
def train(dataset: Input[Dataset], settings: Input[Artifact], model: Output[Model], run_id: str) -> None:
    """Trains a counter of the items in a bin and writes its model bundle to the object store.

    Args:
        dataset: what split made.
        settings: what the settings step completed and the tune step may have improved.
        model: a small JSON file: where the bundle lies, validation metrics, history and settings.
        run_id: names the bundle's folder in the store.
    """
    from components.cluster.jobs.choose import cluster_launcher
    from components.common.step.run_step import main_step, run_name
    from components.common.store import open_store
    from components.settings.run import RunSettings
    from components.train.step import train as train_model

    def work() -> None:
        chosen = RunSettings.load(settings.path)
        train_model(
            dataset.path,
            model.path,
            run_name(run_id),
            open_store(),
            training=chosen.training.model_dump(mode="json"),
            trained=chosen.trained.model_dump() if chosen.trained else None,
            launcher=cluster_launcher(chosen.cluster),
        )

    main_step(work)
