"""The images' requirements: pinned alike, complete, and enough for what runs in each image."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.release.pins import unhashed

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
ENTRANCES = {
    "control": [
        *(f"components.{step}.step" for step in ("check_settings", "download", "split", "explore", "deploy")),
        "components.gate.artifacts",
        "components.registry.kubeflow",
        "components.evaluate.reproduce",
        "components.reconcile.step",
        "components.reconcile.run",
        "model_signing.signing",
    ],
    "train": [
        "components.train.step",
        "components.tune.step",
        "components.tune.katib.search",
        "components.evaluate.step",
        "components.train.__main__",
        "components.train.launchers.host",
    ],
    "serve": ["components.serve.__main__", "model_signing.verifying"],
}
# Hides every distribution that the image does not install, and then imports what the image runs.
PROGRAM = """
import importlib, importlib.machinery, importlib.metadata, re, sys
allowed = set(sys.argv[1].split(","))
plain = lambda name: re.sub(r"[-_.]+", "-", name).lower()
hidden = {
    top for top, names in importlib.metadata.packages_distributions().items()
    if not {plain(name) for name in names} & allowed
} - {"components"}
find = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = staticmethod(
    lambda name, path=None, target=None: None if name.split(".")[0] in hidden else find(name, path, target)
)
for name in sys.argv[2:]:
    importlib.import_module(name)
print("complete")
"""


def pins(file: str | Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in (REQUIREMENTS / file).read_text().splitlines():
        if pin := re.match(r"([\w.-]+)==(\S+)", line):
            found.setdefault(re.sub(r"[-_.]+", "-", pin[1]).lower(), set()).add(pin[2])
    return found


@pytest.mark.parametrize("image", ENTRANCES)
def test_an_image_has_the_versions_that_everything_is_tested_with(image: str) -> None:
    together = pins("all.txt")
    for name, versions in pins(f"{image}.txt").items():
        assert versions <= together[name], name


@pytest.mark.parametrize("image", [pytest.param("train", marks=pytest.mark.slow), "control", "serve"])
def test_an_image_lacks_nothing_that_its_steps_import(image: str) -> None:
    command = [sys.executable, "-c", PROGRAM, ",".join(pins(f"{image}.txt")), *ENTRANCES[image]]
    if image != "serve":
        command.append("kfp.dsl.executor_main")
    if image == "train":
        command += ["components.train.launchers.host", "components.cluster.jobs.choose", "kubeflow.katib"]
    if image == "control":
        command += ["kubeflow.katib", "components.cluster.kube"]
    environment = {**os.environ, "_KFP_RUNTIME": "true", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip().endswith("complete"), done.stderr[-1500:]


def test_the_predictors_image_has_no_torch_and_the_control_image_neither() -> None:
    assert not {"torch", "torchvision", "timm"} & (set(pins("serve.txt")) | set(pins("control.txt")))


def test_the_train_image_for_the_cpu_has_no_cuda_and_torchs_own_wheels(tmp_path: Path) -> None:
    """The Dockerfile's own commands, on the pins; the wheels lie on an index that a closed network may not have."""
    (tmp_path / "requirements.txt").write_text((REQUIREMENTS / "train.txt").read_text())
    commands = re.findall(r"(?:grep|sed) .*?(?= \\\n)", stages()["train-packages"])
    assert len(commands) == 2
    for command in commands:
        subprocess.run(["sh", "-c", command.replace("/tmp/", f"{tmp_path}/")], check=True)
    known = pins("train.txt")
    torch = [f"{name}=={version}" for name in ("torch", "torchvision") for version in known[name]]
    assert (tmp_path / "torch.txt").read_text().split() == torch
    left = pins(tmp_path / "requirements.txt")
    gone = known.keys() - left.keys()
    assert unhashed(tmp_path / "requirements.txt") == []
    assert gone >= {"torch", "torchvision", "cuda-bindings", "nvidia-cudnn-cu13", "nvidia-nccl-cu13", "nvidia-cublas"}
    assert all(name.startswith(("torch", "cuda-", "nvidia-")) for name in gone)
    assert {"nvidia-ml-py", "timm"} <= left.keys(), "which asks the driver and finds none"
    assert "triton" not in known, "what torch.compile alone loads"


def stages() -> dict[str, str]:
    """The Dockerfile's stages by name, each from its base image on; what comes before them has the empty name."""
    before, *found = re.split(r"^FROM ", (ROOT / "docker" / "Dockerfile").read_text(), flags=re.MULTILINE)
    return {"": before, **{stage.splitlines()[0].partition(" AS ")[2]: stage for stage in found}}


@pytest.mark.parametrize("image", ENTRANCES)
def test_an_image_runs_as_nobody_in_particular_and_takes_a_closed_networks_addresses(image: str) -> None:
    made_of = stages()
    assert made_of[image].startswith("base AS"), "no build tool in the image that runs"
    assert f"COPY --from={image}-packages /opt/venv" in made_of[image]
    assert f"requirements/{image}.txt" in made_of[f"{image}-packages"]
    text = made_of["base"] + made_of[image]
    assert "USER 1000:1000" in text
    assert all(f"ARG {name}=" in made_of[""] + made_of["build"] for name in ("BASE_IMAGE", "PACKAGE_INDEX", "EXTRA_CA"))
    assert text.count("org.opencontainers.image.") == 8
    assert 'licenses="Apache-2.0"' in text
    assert ("HEALTHCHECK" in text) == (image == "serve")


def test_the_base_image_is_named_by_tag_and_digest() -> None:
    (named,) = re.findall(r"^ARG BASE_IMAGE=(\S+)$", stages()[""], re.MULTILINE)
    assert re.fullmatch(r"[\w.]+/[\w./]+:[\w.-]+@sha256:[0-9a-f]{64}", named)
    assert "ARG BASE_IMAGE\n" in stages()["base"], "of which its label tells"


@pytest.mark.parametrize("image", ENTRANCES)
def test_byte_code_of_packages_is_written_by_the_command_that_knows_no_time(image: str) -> None:
    stage = stages()[f"{image}-packages"]
    assert stage.count("pip install ") == stage.count("pip install --no-compile ") > 0
    assert stage.rstrip().endswith("&& $COMPILE /opt/venv")


def code_layer(folder: Path, rights: int, time: int) -> dict[str, tuple[int, bytes]]:
    """What the Dockerfile's own commands make of a checkout with such rights and times: rights and bytes by name."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "components" / "common", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*"):
        path.chmod(rights | (rights >> 2 & 0o111) if path.is_dir() else rights)
        os.utime(path, (time, time))
    (command,) = re.findall(r"^RUN (.*)$", stages()["app"], re.MULTILINE)
    given = dict(re.findall(r'(PYTHONHASHSEED|COMPILE)="?([^"\n]*?)"? \\', stages()["build"]))
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **given}
    subprocess.run(["sh", "-c", command.replace("/app", str(folder))], env=environment, check=True)
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


def test_the_codes_layer_is_the_same_from_any_checkout_and_everybody_can_read_it(tmp_path: Path) -> None:
    made = code_layer(tmp_path / "app", 0o644, 1_700_000_000)
    assert sum(name.endswith(".pyc") for name in made) > 10
    assert code_layer(tmp_path / "app", 0o600, 1_800_000_000) == made
    assert all(mode & 0o444 == 0o444 for mode, _ in made.values())
