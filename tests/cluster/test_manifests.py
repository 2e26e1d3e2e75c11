"""manifests/: they build, are valid, satisfy the restricted standard, and say what the code does."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from components import __version__
from components.cluster.pods import STORE_KEYS, STORE_OPTIONAL, STORE_REQUIRED
from components.common.errors import InventoryError
from components.common.step.container_images import image
from pipelines.cli.main import main
from pipelines.manifests.install import install
from pipelines.manifests.installation import Installation
from pipelines.manifests.overlay import overlays as known_overlays
from pipelines.samples import FOLDER, samples
from tests.cluster.stand_ins.pod_security import violations
from tests.cluster.stand_ins.schemas import problems

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
OVERLAYS = {"kubeflow": ("kubeflow-user-example-com", "default-editor"), "standalone": ("kubeflow", "pipeline-runner")}
KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"


def build(folder: Path) -> list[dict[str, Any]]:
    built = subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, text=True, check=True)
    assert not built.stderr
    return [item for item in yaml.safe_load_all(built.stdout) if item]


@pytest.fixture(scope="module")
def overlays() -> dict[str, list[dict[str, Any]]]:
    return {name: build(MANIFESTS / "overlays" / name) for name in OVERLAYS}


def one(items: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [item for item in items if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    return found


def check(item: dict[str, Any]) -> None:
    group = item["apiVersion"].rpartition("/")[0]
    if "." not in group or group.endswith("k8s.io"):
        kubernetes_validate.validate(item, "1.34", strict=True)
    else:
        assert problems(item, f"{item['kind'].lower()}s.{group}") == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_valid_and_in_the_overlays_namespace(
    overlays: dict[str, list[dict[str, Any]]], overlay: str
) -> None:
    namespace, account = OVERLAYS[overlay]
    for item in overlays[overlay]:
        check(item)
        assert item["metadata"]["namespace"] == namespace
    (subject,) = one(overlays[overlay], "RoleBinding", "inventory-pipeline")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": account, "namespace": namespace}


def test_only_the_standalone_overlay_brings_an_object_store(overlays: dict[str, list[dict[str, Any]]]) -> None:
    kinds = {name: [item["kind"] for item in items] for name, items in overlays.items()}
    assert "StatefulSet" in kinds["standalone"]
    assert "StatefulSet" not in kinds["kubeflow"]
    assert "Secret" not in kinds["standalone"] + kinds["kubeflow"], "applying again must not overwrite credentials"


def pods_in(item: dict[str, Any]) -> list[dict[str, Any]]:
    match item["kind"]:
        case "StatefulSet":
            return [item["spec"]["template"]["spec"]]
        case "ServingRuntime":
            return [item["spec"]]
        case "PyTorchJob":
            return [replicas["template"]["spec"] for replicas in item["spec"]["pytorchReplicaSpecs"].values()]
        case "TrainJob":
            (patch,) = item["spec"]["runtimePatches"]
            (job,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
            return [job["template"]["spec"]["template"]["spec"]]
        case "Experiment":
            return pods_in(item["spec"]["trialTemplate"]["trialSpec"])
    return []


def test_every_pod_satisfies_the_restricted_standard_and_cannot_change_its_image(
    overlays: dict[str, list[dict[str, Any]]],
) -> None:
    items = overlays["standalone"] + [yaml.safe_load(text) for text in samples().values()]
    pods = [pod for item in items for pod in pods_in(item)]
    assert len(pods) == 8
    for pod in pods:
        assert violations(pod) == []
        assert all(container["securityContext"]["readOnlyRootFilesystem"] for container in pod["containers"])


def test_the_check_of_the_restricted_standard_finds_what_it_forbids(
    overlays: dict[str, list[dict[str, Any]]],
) -> None:
    (pod,) = pods_in(one(overlays["standalone"], "StatefulSet", "inventory-store"))
    pod = yaml.safe_load(yaml.safe_dump(pod))
    pod["hostNetwork"] = True
    pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    pod["securityContext"].update(runAsUser=0)
    pod["securityContext"].pop("seccompProfile")
    pod["containers"][0]["securityContext"].update(allowPrivilegeEscalation=True, privileged=True)
    pod["containers"][0]["securityContext"]["capabilities"] = {"drop": [], "add": ["NET_ADMIN"]}
    assert len(violations(pod)) == 8


def test_the_predictors_image_has_the_projects_version(overlays: dict[str, list[dict[str, Any]]]) -> None:
    for name, items in overlays.items():
        (container,) = one(items, "ServingRuntime", "inventory-bundle")["spec"]["containers"]
        assert container["image"].endswith(f"/serve:{__version__}"), f"{name}: set newTag in the overlay"


def made(overlay: str, environment: dict[str, str] | None = None, **asked: Any) -> list[dict[str, Any]]:
    namespace = asked.pop("namespace", "team")
    given = {"overlay": overlay, "namespace": namespace, "image": "registry.example/serve:2", **asked}
    return install(Installation.read(given), environment or {})[0]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_command_makes_what_kustomize_makes(overlays: dict[str, list[dict[str, Any]]], overlay: str) -> None:
    assert known_overlays() == sorted(OVERLAYS)
    namespace, _ = OVERLAYS[overlay]
    ours = made(overlay, namespace=namespace, image=image("serve"), no_secrets=True)
    key = lambda item: (item["kind"], item["metadata"]["name"])  # noqa: E731
    assert sorted(ours, key=key) == sorted(overlays[overlay], key=key)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_that_the_command_makes_is_valid_and_in_one_namespace(overlay: str) -> None:
    names = {"S3_ENDPOINT_URL": "https://minio:9000", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    given = {"store_from_environment": True} if overlay == "kubeflow" else {"storage_class": "fast"}
    given |= {"egress_policies": True, "monitoring": True, "service_account": "runner", "store_secret": "mine"}
    for item in made(overlay, names, **given):
        check(item)
        assert item["metadata"]["namespace"] == "team"
        match item["kind"]:
            case "RoleBinding":
                assert item["subjects"] == [{"kind": "ServiceAccount", "name": "runner", "namespace": "team"}]
            case "ServingRuntime":
                assert [each["image"] for each in item["spec"]["containers"]] == ["registry.example/serve:2"]
            case "ServiceAccount" if item["metadata"]["name"] == "inventory-serve":
                assert item["secrets"] == [{"name": "mine"}]
            case "StatefulSet":
                (claim,) = item["spec"]["volumeClaimTemplates"]
                assert claim["spec"]["storageClassName"] == "fast"


def decoded(secret: dict[str, Any]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def test_the_overlays_own_store_gets_new_keys_that_it_accepts_and_that_applying_again_cannot_replace() -> None:
    first, second = made("standalone"), made("standalone")
    store, identity = (one(first, "Secret", name) for name in ("inventory-store", "inventory-store-identity"))
    values, (known,) = decoded(store), json.loads(decoded(identity)["s3.json"])["identities"]
    assert known["credentials"] == [
        {"accessKey": values["AWS_ACCESS_KEY_ID"], "secretKey": values["AWS_SECRET_ACCESS_KEY"]}
    ]
    assert store["immutable"] is identity["immutable"] is True
    assert decoded(one(second, "Secret", "inventory-store"))["AWS_SECRET_ACCESS_KEY"] != values["AWS_SECRET_ACCESS_KEY"]
    assert len(values["AWS_SECRET_ACCESS_KEY"]) >= 40
    service = one(first, "Service", "inventory-store")
    assert values["S3_ENDPOINT_URL"] == f"http://inventory-store:{service['spec']['ports'][0]['port']}"
    mounted = one(first, "StatefulSet", "inventory-store")["spec"]["template"]["spec"]["volumes"]
    assert {"secretName": "inventory-store-identity", "defaultMode": 0o440} in [each.get("secret") for each in mounted]


def test_a_store_of_the_environment_becomes_the_secret_that_steps_and_kserve_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("certificate")
    names = {
        "S3_ENDPOINT_URL": "https://minio.example:9443",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "eu-west-1",
        "AWS_CA_BUNDLE": str(tmp_path / "ca.pem"),
        "HOME": "/somewhere",
    }
    objects = made("kubeflow", names, store_from_environment=True)
    secret = one(objects, "Secret", "inventory-store")
    assert decoded(secret) == {
        **{key: value for key, value in names.items() if key != "HOME"},
        "AWS_CA_BUNDLE": "/etc/inventory/store/ca.crt",
        "ca.crt": "certificate",
    }
    assert secret["metadata"]["annotations"] == {
        "serving.kserve.io/s3-endpoint": "minio.example:9443",
        "serving.kserve.io/s3-usehttps": "1",
        "serving.kserve.io/s3-region": "eu-west-1",
        "serving.kserve.io/s3-cabundle-configmap": "inventory-store-ca",
    }
    assert one(objects, "ConfigMap", "inventory-store-ca")["data"] == {"ca.crt": "certificate"}
    assert "immutable" not in secret


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--overlay", "other"], "there is no overlay other; there are kubeflow, standalone"),
        (["--storage-class", "fast"], "--storage-class: the overlay kubeflow brings no volume"),
        (["--tag", "latest"], "the tag latest moves"),
        (["--namespace", "Not_One"], "namespace = 'Not_One' is refused"),
        (["--store-secret", "a.b"], "store_secret = 'a.b' is refused"),
        (["--store-from-environment"], "set S3_ENDPOINT_URL"),
        (["--out", "/proc/none/here"], "cannot write /proc/none/here"),
    ],
)
def test_what_cannot_be_installed_is_one_line(
    given: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*STORE_REQUIRED, "INVENTORY_TAG", "INVENTORY_REGISTRY"):
        monkeypatch.setenv(name, "")  # put back afterwards, whatever the command sets
        monkeypatch.delenv(name)
    if "--tag" in given:
        monkeypatch.setattr("components.common.step.container_images.TAG", "latest")
    assert main(["manifests", "--namespace", "team", *given]) == 1
    (line,) = [each for each in capsys.readouterr().err.splitlines() if not each.startswith("note: ")]
    assert message in line


def test_the_command_takes_the_images_where_compile_takes_them_and_says_what_is_left_to_do(tmp_path: Path) -> None:
    given = ["--registry", "registry.example/team", "--tag", "1.2"]
    command = [sys.executable, "-m", "pipelines.cli.main", "manifests", "--namespace", "team", *given]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    (container,) = one(list(yaml.safe_load_all(printed.stdout)), "ServingRuntime", "inventory-bundle")["spec"][
        "containers"
    ]
    assert container["image"] == "registry.example/team/serve:1.2"
    assert "kubectl -n team create secret generic inventory-store --from-literal=S3_ENDPOINT_URL=…" in printed.stderr
    out = tmp_path / "objects.yaml"
    standalone = [*command, "--overlay", "standalone", "--out", str(out)]
    written = subprocess.run(standalone, capture_output=True, text=True, check=True)
    assert written.stdout == ""
    assert "50Gi is of the cluster's default StorageClass" in written.stderr
    assert "--no-secrets" in written.stderr
    assert out.stat().st_mode & 0o077 == 0
    assert [item["kind"] for item in yaml.safe_load_all(out.read_text())][:2] == ["Secret", "Secret"]


def test_a_certificate_that_cannot_be_read_is_one_line() -> None:
    names = {"S3_ENDPOINT_URL": "https://minio", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    with pytest.raises(InventoryError, match="cannot read AWS_CA_BUNDLE /nowhere"):
        made("kubeflow", {**names, "AWS_CA_BUNDLE": "/nowhere"}, store_from_environment=True)


def test_the_role_has_no_wildcard_and_reads_no_secret(overlays: dict[str, list[dict[str, Any]]]) -> None:
    rules = one(overlays["kubeflow"], "Role", "inventory-pipeline")["rules"]
    words = [word for rule in rules for key in ("apiGroups", "resources", "verbs") for word in rule[key]]
    assert "*" not in words
    assert "secrets" not in words
    services = next(rule for rule in rules if "inferenceservices" in rule["resources"])
    assert "delete" not in services["verbs"], "production is never deleted by a step"


@pytest.mark.parametrize("file", sorted(samples()))
def test_samples_are_what_the_code_makes(file: str) -> None:
    assert (FOLDER / file).read_text() == samples()[file], "if that is what you want: make golden"
    check(yaml.safe_load(samples()[file]))


def test_there_is_no_sample_that_nothing_makes() -> None:
    assert {path.name for path in FOLDER.glob("*.yaml")} == set(samples())


def test_the_secrets_template_names_every_key_that_pods_take() -> None:
    text = (MANIFESTS / "secrets" / "inventory-store.yaml").read_text()
    secret = yaml.safe_load(text)
    assert {*STORE_REQUIRED, *STORE_KEYS} == set(secret["stringData"])
    assert all(re.search(rf"# {key}:", text) for key in set(STORE_OPTIONAL) - set(STORE_KEYS))
    assert {"s3-endpoint", "s3-usehttps", "s3-region"} == {
        name.removeprefix("serving.kserve.io/") for name in secret["metadata"]["annotations"]
    }


def test_the_policies_select_the_pods_that_we_describe(overlays: dict[str, list[dict[str, Any]]]) -> None:
    wanted = one(overlays["kubeflow"], "NetworkPolicy", "inventory-workers")["spec"]["podSelector"]["matchLabels"]
    job = yaml.safe_load(samples()["pytorchjob.yaml"])
    labels = job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["metadata"]["labels"]
    assert wanted.items() <= labels.items()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="wants root, for a network of its own")
def test_the_object_stores_command_serves_s3_and_nothing_else(
    overlays: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    (pod,) = pods_in(one(overlays["standalone"], "StatefulSet", "inventory-store"))
    (container,) = pod["containers"]
    template = yaml.safe_load((MANIFESTS / "secrets" / "inventory-store-identity.yaml").read_text())
    (tmp_path / "s3.json").write_text(template["stringData"]["s3.json"])
    (tmp_path / "data").mkdir()
    moved = {"-dir=/data": f"-dir={tmp_path / 'data'}"}
    moved["-s3.config=/etc/seaweedfs/s3.json"] = f"-s3.config={tmp_path / 's3.json'}"
    command = [str(KUBECTL.with_name("weed")), *[moved.get(word, word) for word in container["args"]]]
    program = f"""
import os, socket, subprocess, sys, time
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", "addr", "add", "10.9.8.7/32", "dev", "lo"], check=True)
with open({str(tmp_path / "weed.log")!r}, "wb") as log:
    server = subprocess.Popen({command!r}, stdout=log, stderr=log)
try:
    from components.common.store import open_store
    for _ in range(60):
        time.sleep(0.5)
        try:
            store = open_store()
            break
        except Exception as error:
            last = error
    else:
        raise last
    store.put_bytes("a", b"b")
    assert store.get_bytes("a") == b"b"
    for port, answers in ((8333, True), (8888, False), (9333, False), (8080, False)):
        with socket.socket() as probe:
            assert (probe.connect_ex(("10.9.8.7", port)) == 0) == answers, port
finally:
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
"""
    environment = {**os.environ, "S3_ENDPOINT_URL": "http://10.9.8.7:8333", "AWS_REGION": "us-east-1"}
    environment |= {"AWS_ACCESS_KEY_ID": "FILL_IN", "AWS_SECRET_ACCESS_KEY": "FILL_IN"}
    started = time.monotonic()
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", program],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{time.monotonic() - started:.0f} s: {done.stderr[-2000:]}"
