"""KFP interface of the split step."""

from kfp import dsl

from components.common.step.component import control_component


@control_component
def split(bins: dsl.Input[dsl.Dataset], settings: dsl.Input[dsl.Artifact], dataset: dsl.Output[dsl.Dataset]) -> None:
    """Splits bins by product into training, validation and test shards.

    Args:
        bins: the manifest that download wrote.
        settings: what the settings step completed; its section `split` is read.
        dataset: the dataset's manifest; the shards lie in the object store.
    """
    from pathlib import Path

    from components.common.step.run_step import main_step
    from components.common.store import open_store
    from components.documents.downloaded import BinsManifest
    from components.settings.run import RunSettings
    from components.split.step import split_bins

    manifest = main_step(
        lambda: split_bins(open_store(), BinsManifest.load(bins.path), RunSettings.load(settings.path).split)
    )
    manifest.write(Path(dataset.path))
    dataset.metadata["dataset_id"] = manifest.dataset_id
