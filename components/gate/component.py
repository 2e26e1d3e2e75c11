"""KFP interface of the gate step."""

from typing import NamedTuple

from kfp import dsl

from components.common.component import control_component


@control_component
def gate(
    dataset: dsl.Input[dsl.Dataset],
    evaluated: dsl.Input[dsl.Model],
    settings: dsl.Input[dsl.Artifact],
    decision: dsl.Output[dsl.Markdown],
    run_id: str,
) -> NamedTuple("Gated", [("approved", str)]):  # type: ignore[valid-type]
    """Decides whether the evaluated model may replace the one in service, and registers it.

    Args:
        dataset: the dataset's manifest; its test bins decide.
        evaluated: the evaluated model.
        settings: the run's settings; their sections `gate` and `serving` are read.
        decision: the decision with its reasons and its statistical power.
        run_id: the run.

    Returns:
        approved: yes or no.
    """
    from pathlib import Path
    from typing import NamedTuple

    from components.common.steps import main_step
    from components.gate.artifacts import run

    class Gated(NamedTuple):
        approved: str

    read = (Path(dataset.path), Path(evaluated.path), Path(settings.path))
    return Gated(main_step(lambda: run(*read, decision, run_id)))
