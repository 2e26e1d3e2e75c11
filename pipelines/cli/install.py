"""``inventory compile`` and ``manifests``: what a cluster is given, as YAML."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from components import __version__
from components.common.errors import InventoryError
from pipelines.compiler import PIPELINES
from pipelines.manifests.installation import Installation


def add_commands(commands: Any) -> None:
    """Adds both to the command line."""
    _add_compile(commands)
    _add_manifests(commands)


def _add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--registry", metavar="HOST/PATH", help="where the images are [ghcr.io/bin-inventory]")
    parser.add_argument("--tag", metavar="TAG", help=f"their tag or @sha256:… digest, never latest [{__version__}]")


def _use_images(options: argparse.Namespace) -> None:
    """Has to come before the first import of a component, which fixes the images."""
    for name in ("registry", "tag"):
        given = getattr(options, name)
        if given == "":
            raise InventoryError(f"--{name} is empty; leave it out, or say where the images are")
        if given:
            os.environ[f"INVENTORY_{name.upper()}"] = given


def _add_compile(commands: Any) -> None:
    parser = commands.add_parser(
        "compile",
        help="write the pipeline as YAML for a Kubeflow cluster",
        description="Compiles the pipeline that `inventory run` executes, or that of stock reconciliation, to the YAML "
        "that Kubeflow Pipelines takes.",
    )
    parser.add_argument("--pipeline", choices=PIPELINES, default="inventory", help="which one [inventory]")
    parser.add_argument("--output", type=Path, metavar="FILE", help="[inventory.yaml, or reconciliation.yaml]")
    parser.add_argument(
        "--download-pods",
        type=int,
        metavar="N",
        help="pods that fetch the bins of a large source together before the step download, at most 32 [1]",
    )
    _add_images(parser)
    parser.set_defaults(command=_compile)


def _compile(options: argparse.Namespace) -> None:
    if options.download_pods is not None:
        os.environ["INVENTORY_DOWNLOAD_PODS"] = str(options.download_pods)
    _use_images(options)
    from pipelines.compiler import compile_pipeline

    print(compile_pipeline(options.output or Path(f"{options.pipeline}.yaml"), options.pipeline))


def _add_manifests(commands: Any) -> None:
    parser = commands.add_parser(
        "manifests",
        help="write what a namespace needs as YAML for kubectl",
        description="Prints what a namespace needs before a run, for `kubectl apply -f -`. No cluster is asked.",
    )
    for name, field in Installation.model_fields.items():
        flag, text = f"--{name.replace('_', '-')}", field.description
        if name == "image":
            _add_images(parser)
        elif field.annotation is bool:
            parser.add_argument(flag, action="store_true", help=text)
        else:
            default = f" [{field.default}]" if field.default and not field.is_required() else ""
            required, help_text = field.is_required(), f"{text}{default}"
            parser.add_argument(flag, metavar="NAME", default=argparse.SUPPRESS, required=required, help=help_text)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it there [standard output]")
    parser.set_defaults(command=_manifests)


def _manifests(options: argparse.Namespace) -> None:
    _use_images(options)
    from components.common.step.container_images import image
    from pipelines.compiler import check_image
    from pipelines.manifests.install import install, write
    from pipelines.manifests.overlay import as_yaml

    given = {name: value for name, value in vars(options).items() if name in Installation.model_fields}
    check_image(image("serve"))
    objects, notes = install(Installation.read({**given, "image": image("serve")}))
    for line in notes:
        print(f"note: {line}", file=sys.stderr)
    if options.out:
        write(as_yaml(objects), options.out)
    else:
        print(as_yaml(objects), end="")
