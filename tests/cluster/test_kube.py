from pathlib import Path

import pytest

from components.cluster import kube
from components.common.errors import InventoryError


@pytest.mark.parametrize("ask", [kube.connect, kube.namespace])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"clusters: [", "while parsing .*, line 1, column 12"),
        (b"the kubeconfig is on the other laptop", "it holds something else"),
        (b"clusters: 3", "it holds something else"),
        (b"\xff\xfe\x00\x81", "it holds something else"),
        (None, "Is a directory"),
    ],
)
def test_a_kubeconfig_that_is_none_is_one_line(
    ask, content: bytes | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    path.mkdir() if content is None else path.write_bytes(content)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(InventoryError, match=f"^cannot read the kubeconfig {path}: {reason}; mend it, or") as refused:
        ask()
    assert "\n" not in str(refused.value)
