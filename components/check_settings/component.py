"""KFP interface of the settings step."""

from kfp import dsl

from components.common.component import control_component


@control_component
def settings(
    settings: dsl.Output[dsl.Artifact],
    source: str = "rendered",
    preset: str = "auto",
    backbone: str = "",
    weights: str = "",
    epochs: int = 0,
    tune: bool = False,
    training: dict = {},  # noqa: B006 - KFP reads the default, nobody changes it
    cluster: dict = {},  # noqa: B006
    serving: dict = {},  # noqa: B006
    tuning: dict = {},  # noqa: B006
    gate: dict = {},  # noqa: B006
    store_secret: str = "inventory-store",  # noqa: S107 - a secret's name
) -> None:
    """Checks the run's structured parameters before anything else happens, and completes them.

    Args:
        settings: a small JSON file with every option of each structured parameter.
        source: where the bins come from; decides what the preset auto stands for.
        preset: auto, default, rendered, published or published-tuned.
        backbone: a ResNet of torchvision or any timm model; empty takes the preset's.
        weights: none, imagenet, or a path or URI of a weights file; empty takes the preset's.
        epochs: passes over the training bins; 0 takes the preset's.
        tune: whether the run searches hyperparameters, which must then go with the training options.
        training: options that override the preset; components/train/README.md lists them.
        cluster: where it trains on a cluster; `ClusterSettings` lists the options.
        serving: the service on a cluster; components/deploy/README.md lists the options.
        tuning: the hyperparameter search; components/tune/README.md lists the options.
        gate: what a model must show before it goes into service; components/gate/README.md lists the options.
        store_secret: the secret with the object store's endpoint and credentials.
    """
    from pathlib import Path

    from components.check_settings.step import settle
    from components.common.files import write_json
    from components.common.run_step import main_step
    from components.common.store import open_store

    named = {"backbone": backbone, "weights": weights, "epochs": epochs}
    asked = {**training, **{name: value for name, value in named.items() if value}}
    sections = {
        "cluster": {"store_secret": store_secret, **cluster},
        "serving": serving,
        "tuning": tuning,
        "gate": gate,
    }
    write_json(Path(settings.path), main_step(lambda: settle(open_store(), source, preset, asked, sections, tune)))
