"""KFP interface of the settings step."""

from typing import NamedTuple

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
) -> NamedTuple(  # type: ignore[valid-type]  # the form that KFP reads
    "Amounts", [("step_cpu", str), ("step_cpu_limit", str), ("step_memory", str), ("step_memory_limit", str)]
):
    """Checks every parameter of the run before anything else happens, and completes them into one JSON file.

    What the pods of the steps after it ask for, options of ``cluster``, are outputs of their own: Kubeflow Pipelines
    takes a pod's amounts from a task's output, and not from a key of a dictionary.

    KFP ships this function's source, so that it has to name the parameters; a test holds them equal to
    ``components.settings.parameters.PARAMETERS``, where their defaults and descriptions are.
    """
    parameters = {name: value for name, value in locals().items() if name != "settings"}

    from pathlib import Path

    from components.check_settings.step import resolve_settings
    from components.common.files import write_json
    from components.common.step.run_step import main_step
    from components.common.store import open_store

    resolved = main_step(lambda: resolve_settings(open_store(), parameters))
    write_json(Path(settings.path), resolved)
    return tuple(
        resolved["cluster"][name] for name in ("step_cpu", "step_cpu_limit", "step_memory", "step_memory_limit")
    )
