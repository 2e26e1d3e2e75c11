"""KFP interface of the split step."""

from kfp import dsl

from components.common.component import control_component


@control_component
def split(
    bins: dsl.Input[dsl.Dataset],
    dataset: dsl.Output[dsl.Dataset],
    ratios: str = "90/5/5",
    method: str = "products",
    seed: int = 0,
    short_side: int = 256,
) -> None:
    """Splits bins by product into training, validation and test shards.

    Args:
        bins: the manifest that download wrote.
        dataset: the dataset's manifest; the shards lie in the object store.
        ratios: train/validation/test in percent.
        method: what must stay in one split: products, blocks (of ids) or random (nothing).
        seed: of the draw.
        short_side: of a photo at most, in pixels; photos are never enlarged.
    """
    from pathlib import Path

    from components.common.files import write_atomic
    from components.common.run_step import main_step
    from components.common.store import open_store
    from components.documents.downloaded import BinsManifest
    from components.split.step import split_bins

    manifest = main_step(
        lambda: split_bins(open_store(), BinsManifest.load(bins.path), ratios, method, seed, short_side)
    )
    write_atomic(Path(dataset.path), manifest.model_dump_json(indent=1))
    dataset.metadata["dataset_id"] = manifest.dataset_id
