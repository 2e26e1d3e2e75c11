"""Stock reconciliation as a pipeline of its own, to be run on a schedule."""

from kfp import dsl, kubernetes

from components.client.options import TOKEN_VARIABLE
from components.reconcile.component import reconcile as reconcile_step
from components.settings.cluster import DEFAULT_STORE_SECRET
from components.settings.permitted import DEFAULT_TOKEN_SECRET
from pipelines.platform import Amounts, on_cluster, with_permissions

TOKEN_KEY = "token"  # noqa: S105 - a key's name


@dsl.pipeline(
    name="inventory-reconciliation",
    description="Compares every stock record with its bin's photo, and ranks what a person should recount first.",
)
def inventory_reconciliation(
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
    store_secret: str = DEFAULT_STORE_SECRET,
    token_secret: str = DEFAULT_TOKEN_SECRET,
    cpu: str = "500m",
    cpu_limit: str = "4",
    memory: str = "1Gi",
    memory_limit: str = "8Gi",
) -> None:
    """Reconcile.

    Args:
        photos: The bins' photos: s3://bucket/prefix, a directory or a .tar.
        records: CSV id,expected[,products], a file or s3://; empty takes the bins' own metadata.
        source_endpoint: S3 endpoint of s3:// photos and records; empty uses the object store's, then AWS.
        service: Name of the InferenceService, which is also the model's name.
        namespace: Of the InferenceService; empty for the run's own.
        url: Where the model is served; empty asks the cluster for the InferenceService.
        top: Bins on the page.
        error_rate: Share of records that are wrong, where it is known; 0 estimates it from the photos.
        past_recounts: Wrong/checked of recounts of bins taken at random, such as 14/300; empty knows of none.
        missed_cost: What an error that nobody finds costs, in recounts; says how far to go down the list.
        concurrency: Requests in flight.
        store_secret: On a cluster, the secret with the object store's endpoint and credentials.
        token_secret: On a cluster, a secret whose key token the service wants as bearer token; may be missing.
        cpu: CPUs that the step's pod asks for.
        cpu_limit: CPUs that it may use.
        memory: Memory that the step's pod asks for.
        memory_limit: Memory that it may use.
    """
    reconciled = reconcile_step(
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        photos=photos,
        records=records,
        source_endpoint=source_endpoint,
        service=service,
        namespace=namespace,
        url=url,
        top=top,
        error_rate=error_rate,
        past_recounts=past_recounts,
        missed_cost=missed_cost,
        concurrency=concurrency,
        store_secret=store_secret,
        token_secret=token_secret,
    )
    on_cluster(reconciled, store_secret=store_secret, amounts=Amounts(cpu, cpu_limit, memory, memory_limit))
    with_permissions(reconciled)
    kubernetes.use_secret_as_env(reconciled, token_secret, {TOKEN_KEY: TOKEN_VARIABLE}, optional=True)
