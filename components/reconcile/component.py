"""KFP interface of reconciliation."""

from kfp import dsl

from components.common.step.component import control_component


@control_component
def reconcile(
    summary: dsl.Output[dsl.Metrics],
    recount: dsl.Output[dsl.Dataset],
    listing: dsl.Output[dsl.Dataset],
    page: dsl.Output[dsl.HTML],
    run_id: str,
    photos: str,
    records: str = "",
    source_endpoint: str = "",
    service: str = "bin-counter",
    namespace: str = "",
    url: str = "",
    top: int = 100,
    error_rate: float = 0.0,
    past_recounts: str = "",
    missed_cost: float = 20.0,
    concurrency: int = 8,
    store_secret: str = "",
    token_secret: str = "",
) -> None:
    """Asks the model in service about every bin of the stock and ranks what a person should recount.

    Args:
        summary: bins, verdicts, expected number of wrong records, whether to retrain.
        recount: the ranked list as CSV.
        listing: the same as JSON.
        page: the first bins with photos, what recounting is worth, drift.
        run_id: the run; the results lie under runs/<run_id>/reconciliation/ in the object store.
        photos: the bins' photos: s3://bucket/prefix, a directory or a .tar.
        records: CSV id,expected[,products], a file or s3://; empty takes the bins' own metadata.
        source_endpoint: S3 endpoint of s3:// photos and records; empty uses the object store's, then AWS.
        service: name of the InferenceService, which is also the model's name.
        namespace: of the InferenceService; empty for the run's own.
        url: where the model is served; empty asks the cluster for the InferenceService.
        top: bins on the page.
        error_rate: share of records that are wrong, where it is known; 0 estimates it from the photos.
        past_recounts: wrong/checked of recounts of bins taken at random, such as 14/300; empty knows of none.
        missed_cost: what an error that nobody finds costs, in recounts; says how far to go down the list.
        concurrency: requests in flight.
        store_secret: the secret that the step's pod has got for the object store; checked to be one it may have.
        token_secret: the same of the bearer token.
    """
    from pathlib import Path

    from components.common.step.metrics import write_metrics
    from components.common.step.run_step import main_step, run_name
    from components.common.store import open_store
    from components.reconcile.run import Stock, check_secrets, find_endpoint, reconcile_run
    from components.reconcile.settings import ReconcileSettings
    from components.reconcile.step import CSV_FILE, JSON_FILE, PAGE_FILE

    main_step(lambda: check_secrets(store_secret, token_secret))
    copies = {CSV_FILE: recount, JSON_FILE: listing, PAGE_FILE: page}
    found = main_step(
        lambda: reconcile_run(
            open_store(),
            run_name(run_id),
            Stock(photos, records, source_endpoint),
            find_endpoint(url, service, namespace),
            ReconcileSettings(concurrency, top, error_rate or None, past_recounts, missed_cost),
            {name: Path(artifact.path) for name, artifact in copies.items()},
        )
    )
    for name, artifact in copies.items():
        artifact.metadata["key"] = found.keys[name]
    numbers = ("bins", "ranked", "not_countable", "not_checked", "expected_wrong", "expected_wrong_in_top")
    for name in (*numbers, "worth_recounting"):
        summary.log_metric(name, getattr(found, name))
    summary.log_metric("retrain", int(found.retrain))
    write_metrics(summary)
