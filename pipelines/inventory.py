"""The workflow as one pipeline object: what a laptop executes is what a cluster gets as IR YAML."""

from kfp import dsl

from components.check_settings.component import settings as settings_step
from components.deploy.component import deploy as deploy_step
from components.download.component import download as download_step
from components.evaluate.component import evaluate as evaluate_step
from components.explore.component import explore as explore_step
from components.gate.component import gate as gate_step
from components.settings.cluster import DEFAULT_STORE_SECRET
from components.split.component import split as split_step
from components.train.component import train as train_step
from components.tune.component import tune as tune_step
from pipelines.platform import on_cluster, with_model_registry


@dsl.pipeline(
    name="bin-inventory",
    description="Learns to count the items in warehouse bins from labelled photos, and serves the counter.",
)
def inventory(
    source: str = "rendered",
    counts: str = "1-5",
    open_top: bool = False,
    extra_counts: str = "auto",
    limit_per_count: int = 0,
    file_list: str = "",
    source_endpoint: str = "",
    split: str = "90/5/5",
    split_method: str = "products",
    split_seed: int = 0,
    preset: str = "auto",
    backbone: str = "",
    weights: str = "",
    epochs: int = 0,
    tune: bool = False,
    training: dict = {},  # noqa: B006 - KFP reads the default, nobody changes it
    tuning: dict = {},  # noqa: B006
    gate: dict = {},  # noqa: B006
    cluster: dict = {},  # noqa: B006
    serving: dict = {},  # noqa: B006
    store_secret: str = DEFAULT_STORE_SECRET,
) -> None:
    """Settings, download, split, explore, tune, train, evaluate, gate, deploy.

    Args:
        source: Bin photos: rendered[:N[:SEED]], s3://bucket/prefix, a directory, a .tar, or a .csv of own photos.
        counts: Item counts to learn, such as 1-5 or 0-8.
        open_top: Let the largest count mean "that many or more".
        extra_counts: Further counts that only training sees, such as 0,6-8+; auto takes the neighbours of real photos.
        limit_per_count: At most this many bins of each count; 0 takes all.
        file_list: A published file_list.json that names the bins of each count; empty takes the source's own.
        source_endpoint: S3 endpoint of the source, such as https://host:port; empty uses the object store's, then AWS.
        split: Percent of bins for training/validation/test.
        split_method: products (no product on two sides), blocks of neighbouring ids, or random.
        split_seed: Seed of the split; equal seeds give equal splits.
        preset: Training recipe: auto, default, rendered, published or published-tuned.
        backbone: A torchvision ResNet or any timm model name; empty takes the preset's.
        weights: Pretrained weights: none, imagenet, or a path or URI of a safetensors file; empty takes the preset's.
        epochs: Passes over the training bins; 0 takes the preset's.
        tune: Search better hyperparameters before the training.
        training: Any other training option by name, such as {"learning_rate": 0.001, "batch_size": 64}.
        tuning: The search of hyperparameters, such as {"max_trials": 20, "objective": "accuracy"}.
        gate: What a model must show before it goes into service, such as {"minimum_effect": 0.01}.
        cluster: On a cluster, what the training gets, such as {"workers": 2, "gpus_per_worker": 1}.
        serving: On a cluster, the service, such as {"name": "bin-counter", "canary_percent": 10, "max_replicas": 3}.
        store_secret: On a cluster, the secret with the object store's endpoint and credentials.
    """
    run_id = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    settled = settings_step(
        source=source,
        preset=preset,
        backbone=backbone,
        weights=weights,
        epochs=epochs,
        tune=tune,
        training=training,
        cluster=cluster,
        serving=serving,
        tuning=tuning,
        gate=gate,
        store_secret=store_secret,
    )
    settings = settled.outputs["settings"]
    downloaded = download_step(
        source=source,
        counts=counts,
        open_top=open_top,
        extra_counts=extra_counts,
        limit_per_count=limit_per_count,
        file_list=file_list,
        source_endpoint=source_endpoint,
    ).after(settled)
    bins = downloaded.outputs["bins"]
    parted = split_step(bins=bins, ratios=split, method=split_method, seed=split_seed)
    dataset = parted.outputs["dataset"]
    explored = explore_step(bins=bins, dataset=dataset)
    tuned = tune_step(dataset=dataset, settings=settings, run_id=run_id, tune=tune)
    trained = train_step(dataset=dataset, settings=tuned.outputs["chosen"], run_id=run_id)
    evaluated = evaluate_step(dataset=dataset, model=trained.outputs["model"], run_id=run_id)
    counter = evaluated.outputs["evaluated"]
    gated = gate_step(dataset=dataset, evaluated=counter, settings=settings, run_id=run_id)
    with dsl.If(gated.outputs["Output"] == "yes"):
        deployed = deploy_step(dataset=dataset, evaluated=counter, settings=settings, run_id=run_id)
    steps = (settled, downloaded, parted, explored, tuned, trained, evaluated, gated, deployed)
    on_cluster(*steps, store_secret=store_secret)
    with_model_registry(gated, deployed)
