"""``inventory compile``: the pipeline as YAML."""

import argparse
import os
from pathlib import Path
from typing import Any

from components import __version__
from components.common.errors import InventoryError
from pipelines.compiler import PIPELINES


def add_commands(commands: Any) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "compile",
        help="write the pipeline as YAML for a Kubeflow cluster",
        description="Compiles the pipeline that `inventory run` executes, or that of stock reconciliation, to the YAML "
        "that Kubeflow Pipelines takes.",
    )
    parser.add_argument("--pipeline", choices=PIPELINES, default="inventory", help="which one [inventory]")
    parser.add_argument("--output", type=Path, metavar="FILE", help="[inventory.yaml, or reconciliation.yaml]")
    parser.add_argument("--registry", metavar="HOST/PATH", help="where the images are [ghcr.io/bin-inventory]")
    parser.add_argument("--tag", metavar="TAG", help=f"their tag or @sha256:… digest, never latest [{__version__}]")
    parser.set_defaults(command=_compile)


def _compile(options: argparse.Namespace) -> None:
    for name in ("registry", "tag"):
        given = getattr(options, name)
        if given == "":
            raise InventoryError(f"--{name} is empty; leave it out, or say where the images are")
        if given:
            os.environ[f"INVENTORY_{name.upper()}"] = given
    from pipelines.compiler import compile_pipeline

    print(compile_pipeline(options.output or Path(f"{options.pipeline}.yaml"), options.pipeline))
