"""KFP interface of the download step."""

from kfp import dsl

from components.common.component import control_component


@control_component
def download(
    bins: dsl.Output[dsl.Dataset],
    source: str = "rendered",
    counts: str = "1-5",
    open_top: bool = False,
    limit_per_count: int = 0,
    file_list: str = "",
    source_endpoint: str = "",
    extra_counts: str = "auto",
) -> None:
    """Fetches labelled bin photos from a source, checks them and packs them into blocks in the object store.

    Args:
        bins: the manifest of the blocks.
        source: rendered[:N[:SEED]], s3://bucket/prefix, a directory, a .tar, or a .csv of own photos.
        counts: item counts to select, such as 1-5.
        open_top: select larger counts too, as the last one.
        limit_per_count: at most so many bins of each count; 0 for all.
        file_list: path or s3:// address of a published file_list.json; empty for all bins of the source.
        source_endpoint: of an s3:// source; empty takes the object store's if it has the bucket, else AWS.
        extra_counts: further counts that only training sees, such as 0,6-8+; auto takes the neighbours of counts.
    """
    from components.common.run_step import main_step
    from components.common.store import open_store
    from components.download.step import download_to

    manifest = main_step(
        lambda: download_to(
            bins.path, open_store(), source, counts, open_top, limit_per_count, file_list, source_endpoint, extra_counts
        )
    )
    bins.metadata["selected"] = manifest.selected
