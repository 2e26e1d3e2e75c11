"""The evaluation step as a Kubeflow Pipelines component."""

from kfp.dsl import HTML, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Model, Output

from components.common.step.component import train_component


@train_component
def evaluate(
    dataset: Input[Dataset],
    model: Input[Model],
    evaluated: Output[Model],
    metrics: Output[Metrics],
    confusion: Output[ClassificationMetrics],
    roc_1: Output[ClassificationMetrics],
    roc_2: Output[ClassificationMetrics],
    roc_3: Output[ClassificationMetrics],
    roc_4: Output[ClassificationMetrics],
    summary: Output[Markdown],
    report: Output[HTML],
    run_id: str,
) -> None:
    """Scores the model that will be served on the test bins and calibrates it on the validation bins.

    Args:
        dataset: The split dataset.
        model: The trained model.
        evaluated: The model with its evaluation; its bundle now carries temperature, threshold and metrics.
        metrics: Exact and within-one accuracy, MAE, RMSE and loss on the test bins.
        confusion: True against predicted number of items.
        roc_1: How well "at most the smallest count" is told; empty where there is no such question.
        roc_2: The same for the second smallest count.
        roc_3: The same for the third smallest count.
        roc_4: The same for the fourth smallest count.
        summary: The result in a few lines.
        report: The whole report as one page.
        run_id: Names the run.
    """
    from components.common.step.run_step import main_step
    from components.evaluate.artifacts import run

    main_step(
        lambda: run(
            dataset, model, evaluated, metrics, confusion, [roc_1, roc_2, roc_3, roc_4], summary, report, run_id
        )
    )
