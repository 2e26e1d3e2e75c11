"""Metrics as files: Kubeflow's preview of a metrics artifact shows an error where nothing lies behind it."""

from pathlib import Path

from kfp.dsl import Artifact

from components.common.files import write_json


def write_metrics(*artifacts: Artifact) -> None:
    """Writes what metrics artifacts say, which Kubeflow keeps beside them, to their files too.

    Args:
        artifacts: with everything logged; one that has no place of its own is passed over.
    """
    for artifact in artifacts:
        if artifact.path:
            write_json(Path(artifact.path), artifact.metadata)
