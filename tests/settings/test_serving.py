"""The service's options: what is refused on one line, and which names a run may use."""

from typing import Any

import pytest

from components.common.errors import InventoryError
from components.serve.limits import Limits
from components.settings.parameters import read_parameters
from components.settings.permitted import check_permitted
from components.settings.serving import ServingSettings

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threads": -1}, "serving.threads = -1 is refused; allowed: 0 <= integer <= 256"),
        ({"max_body_mib": 0}, "serving.max_body_mib = 0 is refused; allowed: 1 <= integer <= 256"),
        ({"max_photos": "many"}, "serving.max_photos = 'many' is refused"),
        ({"timeout_seconds": 0}, "serving.timeout_seconds = 0 is refused"),
        ({"container_concurrency": -1}, "serving.container_concurrency = -1 is refused"),
        ({"allow_origins": ["stock.example"]}, "'stock.example' is no origin such as https://stock.example"),
        ({"allow_origins": ["https://stock.example/page"]}, "is no origin"),
        ({"env": {"2X": "1"}}, "serving.env: '2X' is no environment variable"),
        ({"env": {"OMP_NUM_THREADS": 2}}, "serving.env.OMP_NUM_THREADS = 2 is refused"),
        ({"env": {"A": "x" * 5000}}, "the value of A is longer than 4,096 characters"),
        ({"env": {f"A{number}": "" for number in range(65)}}, "65 entries are more than 64"),
        ({"secret_env": {"A": "secret"}}, "serving.secret_env: A must be SECRET/KEY"),
        ({"labels": {"a b": "c"}}, "serving.labels: 'a b' is no label"),
        ({"labels": {"team": "a b"}}, "team = 'a b' is no value of a label"),
        ({"labels": {"app.kubernetes.io/name": "x"}}, "app.kubernetes.io/name is set by this workflow or by KServe"),
        ({"annotations": {"serving.kserve.io/stop": "true"}}, "serving.kserve.io/stop is set by this workflow"),
        ({"annotations": {"sidecar.istio.io/inject": "true"}}, "sidecar.istio.io/inject is set by this workflow"),
        ({"annotations": {"linkerd.io/inject": "enabled"}}, "linkerd.io/inject is set by this workflow"),
        ({"annotations": {"prometheus.io/port": 8080}}, "serving.annotations.prometheus.io/port = 8080 is refused"),
        ({"node_selector": {"pool": "a/b"}}, "pool = 'a/b' is no value of a label"),
        ({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, "with the operator Exists has no value"),
        ({"tolerations": [{"effect": "NoSchedule"}]}, "without a key, of every taint, has the operator Exists"),
        ({"tolerations": [{"key": "a", "tolerationSeconds": 3}]}, "tolerationSeconds belong to the effect NoExecute"),
        ({"image_pull_secrets": ["A B"]}, "serving.image_pull_secrets.0 = 'A B' is refused"),
        ({"shadow": "$(AWS_SECRET_ACCESS_KEY)"}, "serving.shadow = '$(AWS_SECRET_ACCESS_KEY)' is refused"),
        ({"thread": 2}, "serving has no option 'thread'; did you mean threads?"),
    ],
)
def test_a_wrong_option_is_refused_on_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InventoryError) as refused:
        read_parameters({"serving": values})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        {"env": {"STOCK_PASSWORD": SECRET}},
        {"env": {"api_key": SECRET}},
        {"env": {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization={SECRET}"}},
        {"env": {"PROXY": f"http://me:{SECRET}@proxy.example"}},
        {"secret_env": {"STOCK_PASSWORD": SECRET}},
        {"secret_env": {"STOCK_PASSWORD": f"{SECRET}=/+x"}},
    ],
)
def test_a_secrets_value_is_refused_and_not_repeated(values: dict[str, Any]) -> None:
    with pytest.raises(InventoryError) as refused:
        ServingSettings.read(values)
    assert SECRET not in str(refused.value)
    assert "SECRET/KEY" in str(refused.value)


@pytest.mark.parametrize(
    ("values", "refused", "variable"),
    [
        ({"env": {"LD_PRELOAD": "x.so"}}, "serving.env = 'LD_PRELOAD'", "INVENTORY_SERVING_ENV"),
        ({"env": {"HTTPS_PROXY": "http://evil.example"}}, "serving.env = 'HTTPS_PROXY'", "INVENTORY_SERVING_ENV"),
        (
            {"secret_env": {"PYTHONPATH": "inventory-serving/a"}},
            "serving.secret_env = 'PYTHONPATH'",
            "INVENTORY_SERVING_ENV",
        ),
        ({"secret_env": {"TZ": "payroll/a"}}, "serving.secret_env = 'payroll'", "INVENTORY_SERVING_SECRETS"),
        ({"store_secret": "payroll"}, "serving.store_secret = 'payroll'", "INVENTORY_STORE_SECRETS"),
        ({"labels": {"app": "payments"}}, "serving.labels = 'app'", "INVENTORY_SERVING_LABELS"),
        (
            {"annotations": {"vault.hashicorp.com/agent-inject": "true"}},
            "serving.annotations = 'vault.hashicorp.com/agent-inject'",
            "INVENTORY_SERVING_ANNOTATIONS",
        ),
    ],
)
def test_a_name_that_the_pipeline_was_not_compiled_for_is_refused(
    values: dict[str, Any], refused: str, variable: str
) -> None:
    run = read_parameters({"serving": values})
    with pytest.raises(InventoryError, match="is refused; this pipeline was compiled for") as error:
        check_permitted(run, {})
    assert refused in str(error.value)
    check_permitted(run, {variable: "*"})


def test_common_names_are_allowed_without_more() -> None:
    values = {
        "env": {"OMP_NUM_THREADS": "2", "MALLOC_ARENA_MAX": "2"},
        "secret_env": {"TZ": "inventory-serving/zone"},
        "labels": {"team": "warehouse", "kueue.x-k8s.io/queue-name": "serving"},
        "annotations": {"prometheus.io/scrape": "true", "serving.kserve.io/enable-prometheus-scraping": "true"},
    }
    check_permitted(read_parameters({"serving": values}), {})


def test_the_servers_own_limits_are_the_defaults() -> None:
    settings, limits = ServingSettings(), Limits()
    assert (settings.max_body_mib * 2**20, settings.max_photos) == (limits.body_bytes, limits.photos)
