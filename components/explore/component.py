"""KFP interface of the explore step."""

from kfp import dsl

from components.common.step.component import control_component


@control_component
def explore(bins: dsl.Input[dsl.Dataset], dataset: dsl.Input[dsl.Dataset], data_report: dsl.Output[dsl.HTML]) -> None:
    """Shows a dataset on one page: counts, photos, what was left out, and products shared between splits.

    Args:
        bins: the manifest that download wrote.
        dataset: the manifest that split wrote.
        data_report: a self-contained HTML page.
    """
    from pathlib import Path

    from components.common.step.run_step import main_step
    from components.common.store import open_store
    from components.counter.dataset import DatasetManifest
    from components.documents.downloaded import BinsManifest
    from components.explore.step import write_page

    main_step(
        lambda: write_page(
            open_store(), BinsManifest.load(bins.path), DatasetManifest.load(dataset.path), Path(data_report.path)
        )
    )
