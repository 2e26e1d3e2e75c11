"""Metrics as files: Kubeflow's preview of a metrics artifact shows an error where nothing lies behind it."""

from pathlib import Path

from kfp.dsl import Artifact

from components.common.files import write_json


def write_metrics(*artifacts: Artifact) -> None:
    """Writes what metrics artifacts say, which Kubeflow keeps beside them, to their files too, where they have any."""
    for artifact in artifacts:
        if artifact.path:
            write_json(Path(artifact.path), artifact.metadata)
