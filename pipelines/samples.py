"""Writes manifests/samples: the objects that steps create, made by the code that creates them.

``python -m pipelines.samples`` writes the files again; a test holds them equal to the code.
"""

from pathlib import Path
from typing import Any

import yaml

from components.cluster.inference_service import inference_service
from components.cluster.jobs.experiment import experiment
from components.cluster.jobs.pytorchjob import pytorchjob
from components.cluster.jobs.trainjob import trainjob
from components.common.step.container_images import image
from components.documents.search_plan import SearchPlan
from components.documents.search_result import DEFAULT_TRIAL
from components.settings.cluster import ClusterSettings
from components.settings.serving import ServingSettings
from components.settings.training import TrainingSettings
from components.settings.tuning import TuningSettings

FOLDER = Path(__file__).parents[1] / "manifests" / "samples"
RUN = "0b1e6a3c-9d1f-4c51-8a5e-0f6a3b1c2d3e"
ARGUMENTS = ("--job", f"s3://inventory/runs/{RUN}/train/job.json")
GPUS = {
    "image": image("train"),
    "workers": 2,
    "processes_per_worker": 2,
    "gpus_per_worker": 2,
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
}


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def samples() -> dict[str, str]:
    """Every sample's file name and content."""
    name, namespace = f"train-{RUN}", "kubeflow-user-example-com"
    fixed, elastic = ClusterSettings.read(GPUS), ClusterSettings.read({**GPUS, "min_workers": 1, "max_workers": 4})
    tuning = TuningSettings()
    plan = SearchPlan(
        RUN,
        f"runs/{RUN}/tune/dataset.json",
        TrainingSettings.read({"select_by": tuning.objective}),
        tuning.parameters,
        tuning,
    )
    base = f"s3://inventory/{plan.job(DEFAULT_TRIAL, {}).job_key}"
    service = inference_service(namespace, f"s3://inventory/runs/{RUN}/model", ServingSettings())
    objects = [
        ("tune", "experiment.yaml", experiment(plan, fixed, namespace, base)),
        ("train", "pytorchjob.yaml", pytorchjob(name, namespace, RUN, ARGUMENTS, fixed)),
        ("train", "pytorchjob-elastic.yaml", pytorchjob(name, namespace, RUN, ARGUMENTS, elastic)),
        ("train", "trainjob.yaml", trainjob(name, namespace, RUN, ARGUMENTS, fixed)),
        ("deploy", "inferenceservice.yaml", service),
    ]
    return {
        file: f"# Written by `python -m pipelines.samples`; the {step} step creates this object.\n"
        + yaml.dump(body, Dumper=_NoAliases, sort_keys=False)
        for step, file, body in objects
    }


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, text in samples().items():
        (FOLDER / file).write_text(text)


if __name__ == "__main__":
    main()
