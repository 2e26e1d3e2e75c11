"""KFP interfaces of the download step, and of the pods that fetch for it."""

from kfp import dsl

from components.common.step.component import control_component


@control_component
def download(settings: dsl.Input[dsl.Artifact], bins: dsl.Output[dsl.Dataset]) -> None:
    """Fetches labelled bin photos from a source, checks them and packs them into blocks in the object store.

    Args:
        settings: what the settings step completed; its section `data` is read.
        bins: the manifest of the blocks.
    """
    from components.common.step.run_step import main_step
    from components.common.store import open_store
    from components.download.step import download_to
    from components.settings.run import RunSettings

    manifest = main_step(lambda: download_to(bins.path, open_store(), RunSettings.load(settings.path).data))
    bins.metadata["selected"] = manifest.selected


@control_component
def fetch(settings: dsl.Input[dsl.Artifact], share: str) -> None:
    """Fetches one share of the bins into the object store, where the step download finds it.

    Args:
        settings: what the settings step completed; its section `data` is read.
        share: such as `3/8`, the third of eight.
    """
    from components.common.step.run_step import main_step
    from components.common.store import open_store
    from components.download.share import Share
    from components.download.step import fetch_share
    from components.settings.run import RunSettings

    main_step(lambda: fetch_share(open_store(), RunSettings.load(settings.path).data, Share.read(share)))
