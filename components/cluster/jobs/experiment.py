"""A search as a Katib Experiment (``kubeflow.org/v1beta1``), as a pure function of the plan.

What a comment here says of Katib was read in the sources of release 0.19.
"""

import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal

from kubeflow.katib import (
    ApiClient,
    V1beta1AlgorithmSetting,
    V1beta1AlgorithmSpec,
    V1beta1CollectorSpec,
    V1beta1EarlyStoppingSetting,
    V1beta1EarlyStoppingSpec,
    V1beta1Experiment,
    V1beta1ExperimentSpec,
    V1beta1FeasibleSpace,
    V1beta1FilterSpec,
    V1beta1MetricsCollectorSpec,
    V1beta1MetricStrategy,
    V1beta1ObjectiveSpec,
    V1beta1ParameterSpec,
    V1beta1SourceSpec,
    V1beta1TrialParameterSpec,
    V1beta1TrialTemplate,
)
from kubernetes.client import V1ObjectMeta

from components.cluster.jobs.job import JobKind
from components.cluster.jobs.katib import EXPERIMENT_LABEL, GROUP, VERSION
from components.cluster.jobs.pytorchjob import CONTAINER, PYTORCHJOB, pytorchjob
from components.cluster.jobs.trainjob import NODE, TRAINJOB
from components.cluster.kube import Object, dns_name
from components.cluster.owned_object import RUN_ANNOTATION
from components.common.errors import InventoryError
from components.counter.training_log import DIRECTIONS, LINES, Metric, pattern
from components.documents.search_plan import SearchPlan
from components.settings.cluster import ClusterSettings
from components.settings.space import (
    HYPERBAND_ETA,
    HYPERBAND_RESOURCE,
    MOST_VALUES,
    Choice,
    Integer,
    Parameter,
    Value,
    check_cmaes,
    hyperband_parallel,
)
from components.settings.tuning import TuningSettings

LONGEST_NAME = 37
"""Katib's webhook allows 40; JobSet wants a TrainJob's longest pod name (``-abcd1234-node-0-999-abcde``) within 63."""
TRIAL_NAME = "trialName"
CONDITION = 'status.conditions.#(type=="{}")#|#(status=="True")#'
SEEDED = ("random", "tpe", "bayesianoptimization", "cmaes")
MEDIAN_STOP = {"min_trials_required": 3, "start_step": 4}
"""Katib's own defaults: after 3 finished trials, by the mean of each one's first 4 epochs."""
ROUNDING = ("tpe", "random")
"""Algorithms that round to multiples of the step, though they lie outside the bounds (hyperopt's ``quniform``)."""
LOG_VALUES = 32
"""Values that stand for a log range where the algorithm cannot draw from one."""
SAFE_TEXT = re.compile(r"[A-Za-z0-9_.:/@%+=,-]+")
"""Katib hands the command to a shell, and quotes nothing."""
KEPT_SECONDS = 3600
"""A finished job stays at least this long: Katib would start one again that went before its end was noticed."""


def experiment_name(run_id: str) -> str:
    """The name of a run's Experiment."""
    return dns_name(f"tune-{run_id}", LONGEST_NAME)


def experiment(
    plan: SearchPlan,
    cluster: ClusterSettings,
    namespace: str,
    job: str,
    owners: Sequence[Object] = (),
    describe: Callable[..., Object] = pytorchjob,
) -> Object:
    """Describes the Experiment for all trials but ``default``, which Katib cannot be told to try first.

    Args:
        plan: what to search.
        cluster: what each trial asks of the cluster.
        namespace: where it is to run.
        job: address of the job description of the trial ``default``; every other trial is the same training with
            other values of the tuned options and another output.
        owners: owner references, so that everything goes when the run goes.
        describe: describes a trial's job, ``pytorchjob`` or ``trainjob``.

    Raises:
        InventoryError: if Katib's algorithm cannot search this space, or a value does not pass a shell.
    """
    tuning = plan.tuning
    trials = tuning.max_trials - 1
    _check_algorithm(plan)
    template = _trial_template(plan, cluster, namespace, job, describe)
    made = V1beta1Experiment(
        api_version=f"{GROUP}/{VERSION}",
        kind="Experiment",
        metadata=V1ObjectMeta(
            name=experiment_name(plan.run_id),
            namespace=namespace,
            # no labels: Katib hands them on to its algorithm's pods, which the workers' network policy would select
            annotations={RUN_ANNOTATION: plan.run_id},
            owner_references=list(owners) or None,
        ),
        spec=V1beta1ExperimentSpec(
            objective=_objective(tuning.objective),
            algorithm=_algorithm(plan),
            early_stopping=_early_stopping(tuning) if can_stop_early(template.trial_spec["kind"], cluster) else None,
            parameters=[_parameter(name, parameter, tuning.algorithm) for name, parameter in plan.space.items()],
            max_trial_count=trials,
            parallel_trial_count=min(tuning.parallel_trials, trials),
            # Katib gives up when so many have failed, not when one more has
            max_failed_trial_count=tuning.max_failed_trials + 1 if tuning.max_failed_trials < trials else None,
            resume_policy=tuning.resume_policy,
            metrics_collector_spec=V1beta1MetricsCollectorSpec(
                collector=V1beta1CollectorSpec(kind="StdOut"),
                source=V1beta1SourceSpec(filter=V1beta1FilterSpec(metrics_format=[pattern(name) for name in LINES])),
            ),
            trial_template=template,
        ),
    )
    body: Object = ApiClient().sanitize_for_serialization(made)
    return body


def _check_algorithm(plan: SearchPlan) -> None:
    """Refuses what Katib would refuse in its Suggestion, or search wrongly.

    The settings were checked with the whole space; here it lacks what the run gives itself.
    """
    algorithm, space = plan.tuning.algorithm, plan.space
    if algorithm == "hyperband":
        hyperband_parallel(space)  # it needs the epochs
    if algorithm == "cmaes":
        check_cmaes(space)
    for name, parameter in space.items():
        if algorithm == "bayesianoptimization" and _is_stepped(parameter):
            raise InventoryError(f"tuning.space.{name}.step: Katib's bayesianoptimization knows no steps; leave it out")


def _is_stepped(parameter: Parameter) -> bool:
    return not isinstance(parameter, Choice) and parameter.step not in (None, 1)


def _objective(objective: Metric) -> V1beta1ObjectiveSpec:
    """The objective without a goal; all metrics are shown, each by its best epoch."""
    best = {"maximize": "max", "minimize": "min"}
    return V1beta1ObjectiveSpec(
        type=DIRECTIONS[objective],
        objective_metric_name=LINES[objective],
        additional_metric_names=[line for metric, line in LINES.items() if metric != objective],
        metric_strategies=[
            V1beta1MetricStrategy(name=LINES[each], value=best[way]) for each, way in DIRECTIONS.items()
        ],
    )


def _algorithm(plan: SearchPlan) -> V1beta1AlgorithmSpec:
    name, settings = plan.tuning.algorithm, {}
    if name in SEEDED:
        settings["random_state"] = str(plan.tuning.seed)
    if name == "hyperband":
        epochs = plan.space[HYPERBAND_RESOURCE]
        assert isinstance(epochs, Integer)  # as hyperband_parallel has found
        settings |= {"resource_name": HYPERBAND_RESOURCE, "r_l": str(epochs.max), "eta": str(HYPERBAND_ETA)}
    listed = [V1beta1AlgorithmSetting(name=setting, value=value) for setting, value in settings.items()]
    return V1beta1AlgorithmSpec(algorithm_name=name, algorithm_settings=listed)


def can_stop_early(kind: str, cluster: ClusterSettings) -> bool:
    """Whether Katib can end a trial of this kind early.

    It ends the first worker alone: a PyTorchJob ends with it, but a TrainJob's other workers start again and wait for
    it.
    """
    return kind != TRAINJOB.kind or cluster.workers == 1


def _early_stopping(tuning: TuningSettings) -> V1beta1EarlyStoppingSpec | None:
    """Median stop; not beside hyperband, which compares trials that all have come to their own end."""
    if tuning.early_stopping == "none" or tuning.algorithm == "hyperband":
        return None
    return V1beta1EarlyStoppingSpec(
        algorithm_name="medianstop",
        algorithm_settings=[V1beta1EarlyStoppingSetting(name=name, value=str(n)) for name, n in MEDIAN_STOP.items()],
    )


def _parameter(name: str, parameter: Parameter, algorithm: str) -> V1beta1ParameterSpec:
    if (algorithm == "hyperband" and name != HYPERBAND_RESOURCE) or (algorithm in ROUNDING and _is_stepped(parameter)):
        parameter = _drawn_evenly(parameter)
    if isinstance(parameter, Choice):
        texts = [_text(name, value) for value in parameter.values]
        return V1beta1ParameterSpec(
            name=name, parameter_type="categorical", feasible_space=V1beta1FeasibleSpace(list=texts)
        )
    return V1beta1ParameterSpec(
        name=name,
        parameter_type="int" if isinstance(parameter, Integer) else "double",
        feasible_space=V1beta1FeasibleSpace(
            min=_text(name, parameter.min),
            max=_text(name, parameter.max),
            step=None if parameter.step in (None, 1) else _text(name, parameter.step),
            distribution="logUniform" if parameter.log else "uniform",
        ),
    )


def _drawn_evenly(parameter: Parameter) -> Parameter:
    """A parameter as a list, for algorithms of Katib that would draw other values than it says.

    Its hyperband draws evenly between two bounds whatever else is said.

    Returns:
        The values of a grid, or ``LOG_VALUES`` values for a log range, evenly spaced in its logarithm.
    """
    if isinstance(parameter, Choice) or not (parameter.log or _is_stepped(parameter)):
        return parameter
    if parameter.log:
        low, high = math.log(parameter.min), math.log(parameter.max)
        points = [math.exp(low + (high - low) * at / (LOG_VALUES - 1)) for at in range(LOG_VALUES)]
        points = [min(max(point, parameter.min), parameter.max) for point in points]
    else:
        step = parameter.step or 1
        steps = min(int((parameter.max - parameter.min) / step + 1e-9), MOST_VALUES - 1)
        points = [parameter.min + at * step for at in range(steps + 1)]
    values: list[Value] = [
        round(point) if isinstance(parameter, Integer) else float(f"{point:.6g}") for point in points
    ]
    return Choice(tuple(dict.fromkeys(values)))


def _text(name: str, value: Value) -> str:
    # without an exponent: 1e-05 is text to one reader of YAML and a number to the next
    text = format(Decimal(str(value)), "f") if isinstance(value, float) else str(value)
    if not SAFE_TEXT.fullmatch(text):
        raise InventoryError(
            f"tuning.space.{name}: Katib passes trial arguments through a shell, which {text!r} would not survive; "
            "use letters, digits and _.:/@%+=,-"
        )
    return text


def _trial_template(
    plan: SearchPlan, cluster: ClusterSettings, namespace: str, job: str, describe: Callable[..., Object]
) -> V1beta1TrialTemplate:
    """A trial: the job of a training, with the trial's name and values put in by Katib.

    The metrics collector goes into the first worker's pod. A kept job (``retain``) lets a person look at the pods of
    a failed trial; a PyTorchJob's own time to live removes it, and a TrainJob's pods go when its runtime says so.
    """
    trial = _substitute(TRIAL_NAME)
    arguments = ["--job", job, "--output", f"{plan.output}/{trial}"]
    arguments += [f"--{name}={_substitute(name)}" for name in plan.space]
    body = describe(trial, namespace, plan.run_id, arguments, cluster)
    del body["metadata"]["name"], body["metadata"]["namespace"]  # Katib sets them, and refuses them here
    for template in _pod_templates(body["spec"]):
        template["metadata"]["labels"][EXPERIMENT_LABEL] = experiment_name(plan.run_id)
    if policy := body["spec"].get("runPolicy"):
        policy["ttlSecondsAfterFinished"] = max(policy["ttlSecondsAfterFinished"], KEPT_SECONDS)
    tuned = [V1beta1TrialParameterSpec(name=name, reference=name) for name in plan.space]
    kind, container, first_worker = _first_worker(body["kind"], cluster.elastic)
    return V1beta1TrialTemplate(
        retain=True,
        primary_container_name=container,
        primary_pod_labels=first_worker,
        success_condition=CONDITION.format(kind.succeeded),
        failure_condition=CONDITION.format("Failed"),
        trial_parameters=[V1beta1TrialParameterSpec(name=TRIAL_NAME, reference="${trialSpec.Name}"), *tuned],
        trial_spec=body,
    )


def _first_worker(kind: str, elastic: bool) -> tuple[JobKind, str, dict[str, str]]:
    """The kind of a trial's job, and the container and labels by which Katib finds the pod for its collector.

    A TrainJob's are Katib's own defaults (``DefaultTrainJobPrimaryPodLabels``).
    """
    if kind == TRAINJOB.kind:
        labels = {"jobset.sigs.k8s.io/replicatedjob-name": NODE, "batch.kubernetes.io/job-completion-index": "0"}
        return TRAINJOB, NODE, labels
    labels = {"replica-type": "worker", "replica-index": "0"} if elastic else {"job-role": "master"}
    return PYTORCHJOB, CONTAINER, {f"training.kubeflow.org/{label}": value for label, value in labels.items()}


def _pod_templates(spec: Object) -> list[Object]:
    """What a job of either kind says of its pods."""
    replicas = [each["template"] for each in spec.get("pytorchReplicaSpecs", {}).values()]
    patches = [each["trainingRuntimeSpec"]["template"]["spec"] for each in spec.get("runtimePatches", [])]
    patched = [each["template"]["spec"]["template"] for patch in patches for each in patch["replicatedJobs"]]
    return [*replicas, *patched, *spec.get("podTemplateOverrides", [])]


def _substitute(name: str) -> str:
    return f"${{trialParameters.{name}}}"
