"""KFP interface of reconciliation."""

from kfp import dsl

from components.common.component import control_component


@control_component
def reconcile(
    summary: dsl.Output[dsl.Metrics],
    recount: dsl.Output[dsl.Dataset],
    page: dsl.Output[dsl.HTML],
    photos: str,
    records: str = "",
    url: str = "",
    service: str = "bin-counter",
    top: int = 100,
    source_endpoint: str = "",
) -> None:
    """Asks the model in service about every bin of the stock and ranks what a person should recount.

    Args:
        summary: bins, verdicts, expected number of wrong records, drift.
        recount: the ranked list as CSV.
        page: the first bins with photos.
        photos: the bins' photos: s3://bucket/prefix, a directory or a .tar.
        records: CSV id,expected[,products]; empty takes the bins' own metadata.
        url: where the model is served; empty asks the cluster for the InferenceService.
        service: name of the InferenceService, which is also the model's name.
        top: bins on the page.
        source_endpoint: S3 endpoint of s3:// photos; empty uses the object store's, then AWS.
    """
    from pathlib import Path

    from components.common.steps import main_step
    from components.serve.reconcile.step import Settings, reconcile_to

    found = main_step(
        lambda: reconcile_to(
            Path(recount.path), Path(page.path), photos, records, url, service, source_endpoint, Settings(top=top)
        )
    )
    for name in ("bins", "ranked", "not_countable", "not_checked", "expected_wrong", "expected_wrong_in_top"):
        summary.log_metric(name, found[name])
    summary.log_metric("retrain", int(found["retrain"]))
