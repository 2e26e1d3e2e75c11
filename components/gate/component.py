"""KFP interface of the gate step."""

from kfp import dsl

from components.common.step.component import control_component


@control_component
def gate(
    dataset: dsl.Input[dsl.Dataset],
    evaluated: dsl.Input[dsl.Model],
    settings: dsl.Input[dsl.Artifact],
    decision: dsl.Output[dsl.Markdown],
    run_id: str,
) -> str:
    """Decides whether the evaluated model may replace the one in service, and registers it.

    The answer has no name of its own, since kfp.local 2.17 does not find named outputs in a condition.

    Args:
        dataset: the dataset's manifest; its test bins decide.
        evaluated: the evaluated model.
        settings: the run's settings; their sections `gate` and `serving` are read.
        decision: the decision with its reasons and its statistical power.
        run_id: the run.

    Returns:
        yes or no.
    """
    from pathlib import Path

    from components.common.step.run_step import main_step
    from components.gate.artifacts import run

    read = (Path(dataset.path), Path(evaluated.path), Path(settings.path))
    return str(main_step(lambda: run(*read, decision, run_id)))
