"""Writes ``manifests/samples/inferenceservice.yaml``: the object that the deploy step creates, made by its own code.

``python -m components.deploy.sample`` writes the file again; a test holds it equal to the code.
"""

from pathlib import Path

import yaml

from components.cluster.inference_service import inference_service
from components.settings.serving import ServingSettings

FILE = Path(__file__).parents[2] / "manifests" / "samples" / "inferenceservice.yaml"
RUN = "0b1e6a3c-9d1f-4c51-8a5e-0f6a3b1c2d3e"


def sample() -> str:
    """The file's content."""
    body = inference_service("kubeflow-user-example-com", f"s3://inventory/runs/{RUN}/model", ServingSettings())
    heading = "# Written by `python -m components.deploy.sample`; the deploy step creates this object.\n"
    return heading + yaml.safe_dump(body, sort_keys=False)


if __name__ == "__main__":
    FILE.write_text(sample())
