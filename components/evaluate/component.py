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
    roc: Output[ClassificationMetrics],
    summary: Output[Markdown],
    model_report: Output[HTML],
    run_id: str,
) -> None:
    """Scores the model that will be served on the test bins and calibrates it on the validation bins.

    Args:
        dataset: The split dataset.
        model: The trained model.
        evaluated: The model with its evaluation; its bundle now carries temperature, threshold and metrics.
        metrics: Exact and within-one accuracy, MAE, RMSE and loss on the test bins.
        confusion: True against predicted number of items.
        roc: How well "at most k items" is told, for the k that parts the test bins best; the report has them all.
        summary: The result in a few lines.
        model_report: The whole report as one page, with the search and the profile of the training where there are any.
        run_id: Names the run.
    """
    from components.common.step.run_step import main_step
    from components.evaluate.artifacts import run

    main_step(lambda: run(dataset, model, evaluated, metrics, confusion, roc, summary, model_report, run_id))
