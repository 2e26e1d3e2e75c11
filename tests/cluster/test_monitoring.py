"""manifests/monitoring: Prometheus finds the pods, and rules and dashboard ask for what the server really tells."""

import json
import os
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from components.counter.statistics.drift import reference
from components.settings.serving import ServingSettings
from pipelines.manifests.installation import Installation
from pipelines.manifests.overlay import MANIFESTS, render
from pipelines.samples import samples
from tests.cluster.test_manifests import build
from tests.tiny_model import black, photo, serving, write_bundle
from tests.waiting import wait_until

FOLDER = MANIFESTS / "monitoring"
RULES = yaml.safe_load((FOLDER / "prometheus-rule.yaml").read_text())["spec"]["groups"][0]["rules"]
DASHBOARD = json.loads(yaml.safe_load((FOLDER / "dashboard.yaml").read_text())["data"]["bin-counter.json"])
ASKED = [rule["expr"] for rule in RULES] + [each["expr"] for panel in DASHBOARD["panels"] for each in panel["targets"]]
WORDS = {"sum", "avg", "min", "max", "count", "by", "rate", "increase", "histogram_quantile", "and", "bool"}
"""Functions and operators of PromQL that we use."""
TARGET_LABELS = {"namespace", "pod", "inferenceservice"}
"""What PodMonitor and Prometheus' operator add to each series."""
SELECTOR = re.compile(r"\b(bin_counter_\w+)(?:\{([^}]*)\})?")


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> dict[str, set[str]]:
    """Names of the metrics that a server exports, with their labels."""
    folder = tmp_path_factory.mktemp("model")
    write_bundle(folder, drift_reference=reference(["1", "5"] * 50, [0.9] * 100, [0.2, 0.4] * 50))
    other = tmp_path_factory.mktemp("shadow")
    write_bundle(other, counts=[5, 6])
    with serving(folder, "--drift-window", "2", "--shadow", str(other)) as server, httpx.Client() as http:
        told = lambda: http.get(f"{server.url}/metrics").text  # noqa: E731
        wait_until(lambda: "bin_counter_shadow_info{" in told(), "the shadow compares", 60)
        for _ in range(2):
            http.post(server.predict, content=photo(3), params={"expected_quantity": 3})
        assert "unusable" in http.post(server.predict, content=black()).json()["predictions"][0]
        wait_until(lambda: "bin_counter_drift_state{" in told(), "drift has been looked at")
        wait_until(lambda: "bin_counter_shadow_disagreements_total{" in told(), "the shadow has disagreed", 60)
        text = told()
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if match := re.match(r"(\w+)(?:\{(.*)\})? ", line):
            found.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2] or ""))
    return found


@pytest.mark.parametrize("expression", ASKED)
def test_an_expression_asks_for_metrics_and_labels_that_the_server_exports(
    series: dict[str, set[str]], expression: str
) -> None:
    labels: set[str] = set()
    assert SELECTOR.search(expression)
    for name, matchers in SELECTOR.findall(expression):
        assert name in series, f"{name} is no metric of the server"
        assert set(re.findall(r"(\w+)\s*(?:=|!)", matchers)) <= series[name] | TARGET_LABELS
        labels |= series[name]
    for grouping in re.findall(r"\bby \(([^)]*)\)", expression):
        assert {each.strip() for each in grouping.split(",")} <= labels | TARGET_LABELS


@pytest.mark.parametrize("expression", ASKED)
def test_an_expression_is_made_of_words_and_brackets_of_promql(expression: str) -> None:
    rest = re.sub(r"\bby \([^)]*\)", "by", SELECTOR.sub("", expression))
    assert set(re.findall(r"[A-Za-z_]+", re.sub(r"\[\d+[smh]\]", "", rest))) <= WORDS
    depth = 0
    for sign in expression:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0
    for function in ("rate", "increase"):
        assert len(re.findall(rf"\b{function}\(", expression)) == len(
            re.findall(rf"\b{function}\(bin_counter_\w+(?:\{{[^}}]*\}})?\[\d+[smh]\]\)", expression)
        ), "a rate is of one counter over a time"


def test_every_metric_of_ours_is_on_the_dashboard(series: dict[str, set[str]]) -> None:
    shown = " ".join(each["expr"] for panel in DASHBOARD["panels"] for each in panel["targets"])
    suffix = r"_(bucket|sum|count|created|total)$"
    ours = {re.sub(suffix, "", name) for name in series if name.startswith("bin_counter_")}
    ours = {name for name in ours if name not in shown}
    assert not ours


def test_the_monitor_selects_the_predictors_pods_on_the_servers_port() -> None:
    monitor = yaml.safe_load((FOLDER / "pod-monitor.yaml").read_text())
    service = yaml.safe_load(samples()["inferenceservice.yaml"])
    labels = service["spec"]["predictor"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    runtime = yaml.safe_load((MANIFESTS / "base" / "serving-runtime.yaml").read_text())
    (port,) = runtime["spec"]["containers"][0]["ports"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["targetPort"], endpoint["path"]) == (port["containerPort"], "/metrics")


def test_every_alert_says_what_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert {"summary", "description"} <= rule["annotations"].keys()
        for label in re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])):
            assert re.search(rf"by \([^)]*\b{label}\b", rule["expr"]), f"the expression has no label {label}"


def test_it_is_installed_only_when_it_is_asked_for() -> None:
    def kinds(**given: Any) -> set[str]:
        return {item["kind"] for item in render(Installation.read({"namespace": "team", "image": "i:1", **given}))}

    assert kinds(monitoring=True) - kinds() == {"PodMonitor", "PrometheusRule", "ConfigMap"}
    assert ServingSettings().drift_window > 0, "there is no drift to alert on otherwise"


def test_kustomize_builds_it_into_an_overlay(tmp_path: Path) -> None:
    overlay, component = (os.path.relpath(folder, tmp_path) for folder in (MANIFESTS / "overlays" / "kubeflow", FOLDER))
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [overlay], "components": [component]}))
    made = {(item["kind"], item["metadata"]["name"]) for item in build(tmp_path)}
    assert {("PodMonitor", "inventory-serve"), ("PrometheusRule", "inventory-serve")} <= made
    assert ("ConfigMap", "inventory-dashboard") in made
