import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Small enough for seconds, large enough that every split holds every count.
SMALL = ["--source", "rendered:240", "--split", "70/15/15", "--backbone", "resnet18", "--epochs", "1"]
# What is trained in seconds is not good enough for the gate.
TINY_TRAINING = ["--image-size", "32", "--batch-size", "32", "--gate", '{"enforce": false}']


@dataclass
class Inventory:
    """The command line, run as a person would run it in an empty folder."""

    folder: Path

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli.main", *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**self.clean_environment(), **environment},
        )

    def __call__(self, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=560)
        return process.returncode, output

    def run_small(self, run_id: str, *arguments: str, **environment: str) -> tuple[int, str]:
        return self("run", "--run-id", run_id, *SMALL, *TINY_TRAINING, *arguments, **environment)

    def clean_environment(self) -> dict[str, str]:
        secret = ("S3_", "AWS_", "INVENTORY_", "MLFLOW_")
        return {name: value for name, value in os.environ.items() if not name.startswith(secret)} | {
            "INVENTORY_CACHE": str(self.folder / "cache"),
            "OMP_NUM_THREADS": "2",
        }

    def records(self, run_id: str) -> list[dict[str, Any]]:
        path = self.folder / "runs" / run_id / "progress.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    return Inventory(tmp_path_factory.mktemp("project"))
