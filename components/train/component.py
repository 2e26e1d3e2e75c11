"""KFP interface of the train step."""

from kfp.dsl import Dataset, Input, Model, Output

from components.common.component import train_component


@train_component
def train(
    dataset: Input[Dataset],
    model: Output[Model],
    run_id: str,
    preset: str = "auto",
    backbone: str = "",
    weights: str = "",
    epochs: int = 0,
    training: dict = {},  # noqa: B006
    cluster: dict = {},  # noqa: B006
    store_secret: str = "inventory-store",  # noqa: S107 - a secret's name
) -> None:
    """Trains a counter of the items in a bin and writes its model bundle to the object store.

    Args:
        dataset: what split made.
        model: a small JSON file: where the bundle lies, validation metrics, history and settings.
        run_id: names the bundle's folder in the store.
        preset: auto, default, rendered, published or published-tuned.
        backbone: a ResNet of torchvision or any timm model; empty takes the preset's.
        weights: none, imagenet, or a path or URI of a weights file; empty takes the preset's.
        epochs: passes over the training bins; 0 takes the preset's.
        training: options that override the preset; components/train/README.md lists them.
        cluster: where it trains on a cluster: workers, GPUs, memory and more; `ClusterSettings` has all of them.
        store_secret: the workers' secret with the object store's endpoint and credentials.
    """
    from components.common.steps import main_step, run_name
    from components.common.store import open_store
    from components.train.cluster import cluster_launcher
    from components.train.step import train as train_model

    named = {"backbone": backbone, "weights": weights, "epochs": epochs}
    chosen = {**training, **{name: value for name, value in named.items() if value}}
    main_step(
        lambda: train_model(
            dataset.path,
            model.path,
            run_name(run_id),
            open_store(),
            preset,
            chosen,
            cluster_launcher({"store_secret": store_secret, **cluster}),
        )
    )
