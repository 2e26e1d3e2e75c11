"""KFP interface of the settings step."""

from kfp import dsl

from components.common.step.component import control_component


@control_component
def settings(
    settings: dsl.Output[dsl.Artifact],
    source: str,
    counts: str,
    open_top: bool,
    extra_counts: str,
    limit_per_count: int,
    file_list: str,
    source_endpoint: str,
    split: str,
    split_method: str,
    split_seed: int,
    preset: str,
    backbone: str,
    weights: str,
    epochs: int,
    tune: bool,
    training: dict,
    tuning: dict,
    gate: dict,
    cluster: dict,
    serving: dict,
    store_secret: str,
) -> None:
    """Checks every parameter of the run before anything else happens, and completes them into one JSON file.

    KFP ships this function's source, so that it has to name the parameters; a test holds them equal to
    ``components.settings.parameters.PARAMETERS``, where their defaults and descriptions are.
    """
    parameters = {name: value for name, value in locals().items() if name != "settings"}

    from pathlib import Path

    from components.check_settings.step import resolve_settings
    from components.common.files import write_json
    from components.common.step.run_step import main_step
    from components.common.store import open_store

    write_json(Path(settings.path), main_step(lambda: resolve_settings(open_store(), parameters)))
