"""The workflow as one pipeline object: what a laptop executes is what a cluster gets as IR YAML."""

import inspect
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

from components.check_settings.component import settings as settings_step
from components.deploy.component import deploy as deploy_step
from components.download.component import download as download_step
from components.download.component import fetch as fetch_step
from components.evaluate.component import evaluate as evaluate_step
from components.explore.component import explore as explore_step
from components.gate.component import gate as gate_step
from components.settings.parameters import PARAMETERS, form_default
from components.split.component import split as split_step
from components.train.component import train as train_step
from components.tune.component import tune as tune_step
from pipelines.platform import FIRST_STEP, Amounts, on_cluster, with_model_registry, with_permissions

NAME = "bin-inventory"
FETCH_RETRIES = 2
"""A pod that fetches its share goes on where the one before it stood."""


def with_parameters(function: Callable[..., None]) -> Callable[..., None]:
    """Gives a pipeline's function the parameters of ``RunSettings``, where KFP looks for them: signature, docstring."""
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                parameter.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=form_default(parameter),
                annotation=parameter.kind,
            )
            for parameter in PARAMETERS.values()
        ]
    )
    texts = "".join(f"    {parameter.name}: {parameter.description}\n" for parameter in PARAMETERS.values())
    function.__doc__ = f"{function.__doc__}\n\nArgs:\n{texts}"
    return function


@dsl.pipeline(name="download-shares")
def fetch_shares(
    settings: dsl.Input[dsl.Artifact],
    shares: list,
    store_secret: str,
    cpu: str,
    cpu_limit: str,
    memory: str,
    memory_limit: str,
) -> None:
    """A pod for each share of the bins; a pipeline of its own, since a task can wait for one, but not for a loop."""
    with dsl.ParallelFor(shares) as share:
        fetched = fetch_step(settings=settings, share=share)
    fetched.set_retry(FETCH_RETRIES, backoff_duration="30s", backoff_factor=2)
    on_cluster(fetched, store_secret=store_secret, amounts=Amounts(cpu, cpu_limit, memory, memory_limit))


def with_drop_downs(pipeline: GraphComponent) -> GraphComponent:
    """Says which values a parameter takes where they can be listed: Kubeflow's form offers these and no others.

    Kubeflow Pipelines knows ``literals`` from release 2.16: API server and driver check them, and the form shows them
    as a drop-down. The SDK has no words for them.
    """
    known = pipeline.pipeline_spec.root.input_definitions.parameters
    for parameter in PARAMETERS.values():
        for value in (True, False) if parameter.kind is bool else parameter.choices:
            json_format.ParseDict(value, known[parameter.name].literals.add())
    return pipeline


@with_drop_downs
@dsl.pipeline(
    name=NAME,
    description="Learns to count the items in warehouse bins from labelled photos, and serves the counter.",
)
@with_parameters
def inventory(*channels: Any) -> None:
    """Settings, download (by several pods, if asked), split, explore, tune, train, evaluate, gate, deploy."""
    parameters = dict(zip(PARAMETERS, channels, strict=True))
    run_id = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    settled = settings_step(**parameters)
    settings = settled.outputs["settings"]
    amounts = Amounts(**{name: settled.outputs[f"step_{name}"] for name in Amounts._fields})
    fetched = fetch_shares(
        settings=settings,
        shares=settled.outputs["download_shares"],
        store_secret=parameters["store_secret"],
        **amounts._asdict(),
    ).set_caching_options(False)
    downloaded = download_step(settings=settings).after(fetched)
    bins = downloaded.outputs["bins"]
    parted = split_step(bins=bins, settings=settings)
    dataset = parted.outputs["dataset"]
    explored = explore_step(bins=bins, dataset=dataset)
    tuned = tune_step(dataset=dataset, settings=settings, run_id=run_id)
    trained = train_step(dataset=dataset, settings=tuned.outputs["chosen"], run_id=run_id)
    evaluated = evaluate_step(dataset=dataset, model=trained.outputs["model"], run_id=run_id)
    counter = evaluated.outputs["evaluated"]
    gated = gate_step(dataset=dataset, evaluated=counter, settings=settings, run_id=run_id)
    with dsl.If(gated.outputs["Output"] == "yes"):
        deployed = deploy_step(dataset=dataset, evaluated=counter, settings=settings, run_id=run_id)
    steps = (downloaded, parted, explored, tuned, trained, evaluated, gated, deployed)
    on_cluster(settled, store_secret=parameters["store_secret"], amounts=FIRST_STEP)
    on_cluster(*steps, store_secret=parameters["store_secret"], amounts=amounts)
    with_permissions(settled)
    with_model_registry(gated, deployed)
