import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp import dsl
from kfp.local.io import IOStore
from kfp.local.orchestrator.enhanced_dag_orchestrator import ConditionEvaluator

from components.cluster.pods import STORE_FOLDER
from components.common.errors import InventoryError
from pipelines.compiler import PIPELINES, check_image, compile_pipeline, fetching_pods, images
from pipelines.platform import FIRST_STEP, on_cluster

GOLDEN = {name: Path(__file__).with_name(f"{name}.golden.yaml") for name in PIPELINES}
SIDES = ("Request", "Limit")
DIGEST = "@sha256:" + "0" * 64


def small_pipeline(image: str):
    @dsl.component(base_image=image, packages_to_install=[], install_kfp_package=False)
    def hello(name: str) -> str:
        return name

    @dsl.pipeline(name="small")
    def small(name: str = "you", store_secret: str = "inventory-store") -> None:
        on_cluster(hello(name=name), store_secret=store_secret, amounts=FIRST_STEP)

    return small


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("ghcr.io/bin-inventory/train:1.2.3", None),
        (f"ghcr.io/bin-inventory/train{DIGEST}", None),
        (f"localhost:5000/train:1{DIGEST}", None),
        ("localhost:5000/train:1", None),
        ("ghcr.io/bin-inventory/train", "has no tag"),
        ("localhost:5000/train", "has no tag"),
        ("train@sha256:12", "has no tag"),
        ("ghcr.io/bin-inventory/train:latest", "the tag latest moves"),
    ],
)
def test_only_images_that_cannot_change_are_taken(image: str, problem: str | None, tmp_path: Path) -> None:
    if problem is None:
        check_image(image)
        compile_pipeline(tmp_path / "p.yaml", small_pipeline(image))
        assert images((tmp_path / "p.yaml").read_text()) == [image]
    else:
        with pytest.raises(InventoryError, match=problem):
            compile_pipeline(tmp_path / "p.yaml", small_pipeline(image))
        assert not (tmp_path / "p.yaml").exists()


def test_the_platform_document_gives_steps_the_store_by_reference(tmp_path: Path) -> None:
    file = compile_pipeline(tmp_path / "p.yaml", small_pipeline("registry/control:1"))
    _, platform = yaml.safe_load_all(file.read_text())
    step = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-hello"]
    required, optional = step["secretAsEnv"]
    assert [each["envVar"] for each in required["keyToEnv"]] == ["S3_ENDPOINT_URL"]
    taken = {each["envVar"] for each in optional["keyToEnv"]}
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "INVENTORY_PREFIX"} <= taken
    # set here, be it from a key that is not there, these would keep a cloud from setting them (EKS's webhook)
    assert not taken & {"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_DEFAULT_REGION"}
    assert not required["optional"]
    assert optional["optional"]
    assert required["secretNameParameter"] == {"componentInputParameter": "store_secret"}
    assert step["secretAsVolume"][0]["mountPath"] == STORE_FOLDER
    assert step["securityContext"]["runAsNonRoot"] is True
    assert step["podMetadata"]["labels"]["sidecar.istio.io/inject"] == "false"
    assert step["podMetadata"]["annotations"]["sidecar.istio.io/inject"] == "false"


def test_the_pods_of_steps_ask_for_what_the_cluster_parameter_says() -> None:
    """Amounts are resolved by Kubeflow's driver from the task's own inputs (backend/src/v2/driver/resolver)."""
    from pipelines.inventory import inventory

    spec = json_format.MessageToDict(inventory.pipeline_spec)
    executors = {name: each["container"]["resources"] for name, each in spec["deploymentSpec"]["executors"].items()}
    assert executors.pop("exec-settings")["resourceCpuRequest"] == FIRST_STEP.cpu
    assert len(executors) == 7
    fields = {
        f"{kind}{side}": f"step_{kind}{'_limit' * (side == 'Limit')}" for kind in ("cpu", "memory") for side in SIDES
    }
    tasks = spec["root"]["dag"]["tasks"]
    for executor, asked in executors.items():
        task = tasks[executor.removeprefix("exec-")]
        for field, option in fields.items():
            channel = f"pipelinechannel--settings-{option}"
            key = f"resource{field[0].upper()}{field[1:]}"
            assert asked[key] == f"{{{{$.inputs.parameters['{channel}']}}}}"
            source = task["inputs"]["parameters"][channel]
            assert source == {"taskOutputParameter": {"producerTask": "settings", "outputParameterKey": option}}


def test_the_graph_is_one_layer_whose_every_node_is_a_step_or_what_it_made() -> None:
    """No group such as ``condition-1``, for which Kubeflow starts a pod, and no two artifacts of one name."""
    from pipelines.inventory import inventory

    spec = json_format.MessageToDict(inventory.pipeline_spec)
    assert not [name for name, component in spec["components"].items() if "dag" in component]
    assert set(spec["root"]["dag"]["tasks"]) == {
        *("settings", "download", "split", "explore", "train", "evaluate", "gate", "deploy")
    }
    outputs = [name for each in spec["components"].values() for name in each["outputDefinitions"].get("artifacts", {})]
    assert len(outputs) == len(set(outputs)) == 13
    assert not [name for name in outputs if name in ("page", "report", "chosen") or name[-1].isdigit()]


def test_deploy_alone_waits_for_the_gates_answer_and_reads_it_where_kubeflows_driver_looks() -> None:
    """A container's driver resolves the condition in the task's own inputs (backend/src/v2/driver/container.go)."""
    from pipelines.inventory import inventory

    tasks = json_format.MessageToDict(inventory.pipeline_spec)["root"]["dag"]["tasks"]
    assert [name for name, task in tasks.items() if "triggerPolicy" in task] == ["deploy"]
    condition = tasks["deploy"]["triggerPolicy"]["condition"]
    (channel,) = re.findall(r"inputs\.parameter_values\['(.+?)'\] == 'yes'", condition)
    answer = {"producerTask": "gate", "outputParameterKey": "Output"}
    assert tasks["deploy"]["inputs"]["parameters"][channel] == {"taskOutputParameter": answer}
    assert "gate" in tasks["deploy"]["dependentTasks"]
    # what comes after a step that is skipped never runs
    assert not [name for name, task in tasks.items() if "deploy" in task.get("dependentTasks", [])]


@pytest.mark.parametrize(("answer", "deploys"), [("yes", True), ("no", False)])
def test_one_machine_takes_the_gates_answer_as_a_cluster_does(answer: str, deploys: bool) -> None:
    from pipelines.inventory import inventory

    condition = inventory.pipeline_spec.root.dag.tasks["deploy"].trigger_policy.condition
    outputs = IOStore()
    outputs.put_task_output("gate", "Output", answer)
    assert ConditionEvaluator.evaluate_condition(condition, outputs) is deploys


SHARED = """
from google.protobuf import json_format
from pipelines.inventory import inventory
print(json_format.MessageToJson(inventory.pipeline_spec))
"""


def compiled_for(pods: str) -> subprocess.CompletedProcess[str]:
    """The pipeline, in a process of its own: the import fixes how many pods fetch."""
    environment = {**os.environ, "INVENTORY_DOWNLOAD_PODS": pods}
    return subprocess.run(
        [sys.executable, "-c", SHARED], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_pods_that_share_a_download_are_tasks_of_their_own_and_the_download_waits_for_all() -> None:
    text = compiled_for("3").stdout
    assert fetching_pods(text) == 3
    spec = json.loads(text)
    tasks = spec["root"]["dag"]["tasks"]
    fetching = {name: task for name, task in tasks.items() if name.startswith("fetch")}
    shares = [task["inputs"]["parameters"]["share"]["runtimeValue"]["constant"] for task in fetching.values()]
    assert sorted(shares) == ["1/3", "2/3", "3/3"]
    assert {task["retryPolicy"]["maxRetryCount"] for task in fetching.values()} == {2}
    assert set(fetching) < set(tasks["download"]["dependentTasks"])


def test_one_pod_fetches_unless_the_compiled_pipeline_says_more() -> None:
    from pipelines.inventory import inventory

    spec = json_format.MessageToDict(inventory.pipeline_spec)
    assert not [name for name in spec["root"]["dag"]["tasks"] if name.startswith("fetch")]
    assert fetching_pods(json.dumps(spec)) == 1


@pytest.mark.parametrize("pods", ["0", "33", "-1", "many", "2.5", ""])
def test_another_number_of_pods_is_refused(pods: str) -> None:
    assert "give a number from 1 to 32" in compiled_for(pods).stderr


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_kubeflows_cache_skips_no_step_since_it_does_not_see_what_a_step_looks_at(tmp_path: Path, name: str) -> None:
    compiled = compile_pipeline(tmp_path / "p.yaml", name)
    tasks = re.findall(r"cachingOptions:.*\n.*", compiled.read_text())
    assert tasks
    assert not [task for task in tasks if "enableCache" in task]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InventoryError, match=r"cannot write .*; give another --output"):
        compile_pipeline(tmp_path / "file" / "p.yaml", small_pipeline("registry/control:1"))


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_compiles_to_its_golden_file_to_the_byte(tmp_path: Path, name: str) -> None:
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    given = ["--pipeline", name, "--registry", "registry.example/team", "--tag", "1.2"]
    for seed, file in enumerate(files):
        command = [sys.executable, "-m", "pipelines.cli.main", "compile", *given, "--output", str(file)]
        subprocess.run(command, check=True, timeout=120, env={**os.environ, "PYTHONHASHSEED": str(seed)})
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_text() == GOLDEN[name].read_text(), "if that is what you want: make golden"
    used = {"inventory": ["control", "train"], "reconciliation": ["control"]}[name]
    assert images(files[0].read_text()) == [f"registry.example/team/{image}:1.2" for image in used]
    for executor in next(yaml.safe_load_all(files[0].read_text()))["deploymentSpec"]["executors"].values():
        known = {variable["name"]: variable["value"] for variable in executor["container"]["env"]}
        assert known["INVENTORY_REGISTRY"] == "registry.example/team"  # for workers and trials that the step starts
        assert known["INVENTORY_TAG"] == "1.2"
