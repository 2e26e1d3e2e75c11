"""The workflow as one pipeline object: what a laptop executes is what a cluster gets as IR YAML."""

import os
from typing import Any

from google.protobuf import json_format
from kfp import dsl, kubernetes
from kfp.dsl.graph_component import GraphComponent

from components.check_settings.component import settings as settings_step
from components.common.errors import InventoryError
from components.deploy.component import deploy as deploy_step
from components.download.component import download as download_step
from components.download.component import fetch as fetch_step
from components.evaluate.component import evaluate as evaluate_step
from components.explore.component import explore as explore_step
from components.gate.component import gate as gate_step
from components.settings.parameters import PARAMETERS, form_default
from components.split.component import split as split_step
from components.train.component import train as train_step
from pipelines.platform import (
    FIRST_STEP,
    SEARCH_SECONDS,
    Amounts,
    on_cluster,
    with_keys,
    with_model_registry,
    with_permissions,
)
from pipelines.signature import parameter, with_parameters

NAME = "bin-inventory"
FETCH_RETRIES = 2
"""A pod that fetches its share goes on where the one before it stood."""
DOWNLOAD_PODS_VARIABLE, MOST_DOWNLOAD_PODS = "INVENTORY_DOWNLOAD_PODS", 32
"""With 64 requests each: what a bucket answers at a time before it asks to slow down."""


def download_pods() -> int:
    """How many pods fetch bins together, 1 to 32: fixed when the pipeline is compiled, so that its graph stays flat.

    Raises:
        InventoryError: if the environment's ``INVENTORY_DOWNLOAD_PODS`` is no such number.
    """
    given = os.environ.get(DOWNLOAD_PODS_VARIABLE, "1")
    if given not in map(str, range(1, MOST_DOWNLOAD_PODS + 1)):
        raise InventoryError(f"{DOWNLOAD_PODS_VARIABLE} is {given!r}; give a number from 1 to {MOST_DOWNLOAD_PODS}")
    return int(given)


def with_drop_downs(pipeline: GraphComponent) -> GraphComponent:
    """Says which values a parameter takes where they can be listed: Kubeflow's form offers these and no others.

    Kubeflow Pipelines knows ``literals`` from release 2.16: API server and driver check them, and the form shows them
    as a drop-down. The SDK has no words for them.
    """
    known = pipeline.pipeline_spec.root.input_definitions.parameters
    for each in PARAMETERS.values():
        for value in (True, False) if each.kind is bool else each.choices:
            json_format.ParseDict(value, known[each.name].literals.add())
    return pipeline


def deploys_if_approved(pipeline: GraphComponent) -> GraphComponent:
    """Lets the gate's answer decide whether the step deploy runs.

    The condition stands at the task itself, where the compiler of Kubeflow Pipelines looks for it as it does at a group
    of tasks (``task`` in backend/src/v2/compiler/argocompiler/dag.go), and so does ``kfp.local``. ``dsl.If``, the SDK's
    only word for it, makes a group ``condition-1`` that costs a pod of its own and hides the step.
    """
    deploy = pipeline.pipeline_spec.root.dag.tasks["deploy"]
    answer = "pipelinechannel--gate-Output"
    deploy.inputs.parameters[answer].task_output_parameter.producer_task = "gate"
    deploy.inputs.parameters[answer].task_output_parameter.output_parameter_key = "Output"
    deploy.trigger_policy.condition = f"inputs.parameter_values['{answer}'] == 'yes'"
    return pipeline


@deploys_if_approved
@with_drop_downs
@dsl.pipeline(
    name=NAME,
    description="Learns to count the items in warehouse bins from labelled photos, and serves the counter.",
)
@with_parameters(
    (parameter(each.name, each.kind, form_default(each)), each.description) for each in PARAMETERS.values()
)
def inventory(*channels: Any) -> None:
    """Settings, download (by several pods, if asked), split, explore, train, evaluate, gate, deploy."""
    parameters = dict(zip(PARAMETERS, channels, strict=True))
    run_id = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    settled = settings_step(**parameters)
    settings = settled.outputs["settings"]
    amounts = Amounts(**{name: settled.outputs[f"step_{name}"] for name in Amounts._fields})
    pods = download_pods()
    shares = [f"{number}/{pods}" for number in range(1, pods + 1)] if pods > 1 else []
    fetched = [fetch_step(settings=settings, share=share).set_retry(FETCH_RETRIES, "30s", 2) for share in shares]
    downloaded = download_step(settings=settings).after(*fetched)
    bins = downloaded.outputs["bins"]
    parted = split_step(bins=bins, settings=settings)
    dataset = parted.outputs["dataset"]
    explored = explore_step(bins=bins, dataset=dataset)
    trained = train_step(dataset=dataset, settings=settings, run_id=run_id)
    evaluated = evaluate_step(dataset=dataset, model=trained.outputs["model"], run_id=run_id)
    counter = evaluated.outputs["evaluated"]
    gated = gate_step(dataset=dataset, evaluated=counter, settings=settings, run_id=run_id)
    deployed = deploy_step(dataset=dataset, evaluated=counter, settings=settings, run_id=run_id).after(gated)
    steps = (*fetched, downloaded, parted, explored, trained, evaluated, gated, deployed)
    on_cluster(settled, store_secret=parameters["store_secret"], amounts=FIRST_STEP)
    on_cluster(*steps, store_secret=parameters["store_secret"], amounts=amounts)
    kubernetes.set_timeout(trained, SEARCH_SECONDS)
    with_permissions(settled)
    with_model_registry(gated, deployed)
    with_keys(gated, deployed)
