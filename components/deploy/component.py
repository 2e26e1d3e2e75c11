"""KFP interface of the deploy step."""

from kfp import dsl

from components.common.step.component import control_component


@control_component
def deploy(
    dataset: dsl.Input[dsl.Dataset],
    evaluated: dsl.Input[dsl.Model],
    settings: dsl.Input[dsl.Artifact],
    service: dsl.Output[dsl.Markdown],
    run_id: str,
) -> None:
    """Puts the evaluated model into service after it has answered labelled bins as it should.

    Args:
        dataset: the dataset's manifest; a few of its validation bins are the smoke test.
        evaluated: the evaluated model.
        settings: what the settings step completed.
        service: address, model, version and smoke test of the service, and a request to try.
        run_id: the run.
    """
    from pathlib import Path

    from components.common.files import write_atomic
    from components.common.step.run_step import main_step, run_name
    from components.common.store import open_store
    from components.counter.dataset import DatasetManifest
    from components.deploy.how_to_ask import how_to_ask
    from components.deploy.step import deploy as deploy_model
    from components.documents.evaluated import EvaluatedModel
    from components.settings.run import RunSettings

    manifest, model = DatasetManifest.load(dataset.path), EvaluatedModel.load(evaluated.path)
    outcome = main_step(
        lambda: deploy_model(open_store(), manifest, model, run_name(run_id), RunSettings.load(settings.path).serving)
    )
    write_atomic(Path(service.path), how_to_ask(outcome))
    service.metadata.update({"url": outcome.url, "model_name": outcome.model_name, "version": outcome.version})
