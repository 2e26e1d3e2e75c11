import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision

from components.common.errors import InventoryError
from components.common.store import Store
from components.train.model import weights as module
from components.train.model.network import make_backbone
from components.train.model.weights import WeightsFile, find_weights, imagenet_table, load_backbone, read_state


class Server:
    """A publisher of files on loopback that counts requests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.length: int | None = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                data = outer.files.get(self.path)
                self.send_response(200 if data is not None else 404)
                self.send_header("Content-Length", str(outer.length or len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def publisher() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture(scope="module")
def published_state() -> dict[str, torch.Tensor]:
    """Weights as timm publishes them, with a classifier of 1000 classes."""
    torch.manual_seed(3)
    return timm.create_model("test_resnet", num_classes=1000).state_dict()


@pytest.fixture
def published(publisher: Server, published_state: dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """``imagenet`` of ``test_resnet`` is a file of the publisher; returns its sha256. The user's cache is empty."""
    monkeypatch.setenv("INVENTORY_CACHE", str(tmp_path / "cache"))
    data = safetensors.torch.save(published_state)
    publisher.files["/model.safetensors"] = data
    digest = hashlib.sha256(data).hexdigest()
    entry = {"uri": f"{publisher.url}/model.safetensors", "sha256": digest}
    monkeypatch.setitem(imagenet_table(), "test_resnet", entry)
    return digest


def test_imagenet_weights_come_from_cache_then_mirror_then_publisher(
    store: Store, publisher: Server, published: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_weights("imagenet", "test_resnet", store)
    assert found is not None
    assert found.sha256 == published
    assert publisher.asked == ["/model.safetensors"]
    assert store.exists(f"weights/{published}")

    publisher.files.clear()
    assert find_weights("imagenet", "test_resnet", store) == found  # from the cache
    monkeypatch.setenv("INVENTORY_CACHE", str(tmp_path / "another"))
    assert find_weights("imagenet", "test_resnet", store).sha256 == published  # from the mirror
    assert len(publisher.asked) == 1


def test_weights_that_are_not_what_was_published_are_refused(store: Store, publisher: Server, published: str) -> None:
    publisher.files["/model.safetensors"] += b"!"
    with pytest.raises(InventoryError, match=rf"expected {published[:12]}…; not used"):
        find_weights("imagenet", "test_resnet", store)
    assert not store.exists(f"weights/{published}")


def test_weights_may_lie_in_a_file_in_the_store_or_on_the_web(
    store: Store, publisher: Server, published: str, tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(publisher.files["/model.safetensors"])
    store.put_file("mine/w.safetensors", path)
    for address in (
        str(path),
        f"file://{path}",
        store.uri("mine/w.safetensors"),
        f"{publisher.url}/model.safetensors",
        f"{publisher.url}/model.safetensors#sha256={published}",
    ):
        assert find_weights(address, "test_resnet", store).sha256 == published
    assert find_weights("none", "test_resnet", store) is None


def test_addresses_that_cannot_work_are_one_line(
    store: Store, publisher: Server, published: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address, message in (
        ("/no/such/file", "there is no file /no/such/file"),
        (f"{publisher.url}/missing", "answered 404"),
        ("http://127.0.0.1:9/w", "cannot be fetched"),
        (f"{publisher.url}/model.safetensors#md5=1", "only sha256="),
        (f"{publisher.url}/model.safetensors#sha256=00", "expected 00"),
        (store.uri("missing"), "there is no such object"),
    ):
        with pytest.raises(InventoryError, match=message):
            find_weights(address, "test_resnet", store)
    with pytest.raises(InventoryError, match=r"no ImageNet weights are listed for test_vit \(listed: resnet18"):
        find_weights("imagenet", "test_vit", store)
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(InventoryError, match="larger than 1,000 bytes"):
        find_weights(f"{publisher.url}/model.safetensors", "test_resnet", store)


def test_the_table_names_every_torchvision_resnet_as_torchvision_does() -> None:
    for depth in (18, 34, 50, 101, 152):
        entry = imagenet_table()[f"resnet{depth}"]
        published = torchvision.models.get_model_weights(f"resnet{depth}").IMAGENET1K_V1.url
        assert entry["uri"] == published
        assert entry["sha256"].startswith(published.rsplit("-", 1)[1].removesuffix(".pth"))


def as_file(path: Path) -> WeightsFile:
    return WeightsFile(path, "", path.name)


def test_published_weights_give_the_published_features(published_state: dict, tmp_path: Path) -> None:
    backbone = make_backbone("test_resnet", 64)
    torch.save({"state_dict": published_state}, tmp_path / "w.pth")
    load_backbone(backbone.features, read_state(as_file(tmp_path / "w.pth")), backbone.heads, "w.pth")
    whole = timm.create_model("test_resnet", num_classes=1000)
    whole.load_state_dict(published_state)
    images = torch.randn(2, 3, 64, 64)
    expected = whole.eval().forward_head(whole.forward_features(images), pre_logits=True)
    assert torch.equal(backbone.features.eval()(images), expected)


def test_torchvision_weights_fit_with_their_classifier_left_out() -> None:
    backbone = make_backbone("resnet18", 32)
    whole = torchvision.models.resnet18(num_classes=7)
    load_backbone(backbone.features, whole.state_dict(), backbone.heads, "w")
    assert torch.equal(backbone.features.layer4[1].conv2.weight, whole.layer4[1].conv2.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("conv1.weight"), "they lack conv1.weight"),
        (lambda s: s.update({"extra.weight": torch.zeros(1)}), "it has no extra.weight"),
        (
            lambda s: s.update({"conv1.weight": torch.zeros(64, 3, 3, 3)}),
            r"conv1.weight is \[64, 3, 3, 3\] there and \[64, 3, 7, 7\] in the network",
        ),
    ],
)
def test_weights_that_do_not_fit_name_the_first_misfit(change, message: str) -> None:
    state = dict(torchvision.models.resnet18().state_dict())
    change(state)
    backbone = make_backbone("resnet18", 32)
    with pytest.raises(InventoryError, match=message):
        load_backbone(backbone.features, state, backbone.heads, "w.pth")


def test_files_that_are_no_weights_are_refused_and_never_run(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "truncated.safetensors").write_bytes(safetensors.torch.save({"a": torch.zeros(100)})[:50])
    torch.save({"a": Path("/")}, tmp_path / "objects.pth")  # would need code to be run
    torch.save([1, 2], tmp_path / "list.pth")
    for path in tmp_path.iterdir():
        with pytest.raises(InventoryError, match=path.name):
            read_state(as_file(path))


def test_an_unknown_backbone_names_close_ones() -> None:
    with pytest.raises(InventoryError, match=r"no backbone 'tf_efficientnet_light0'; close: .*tf_efficientnet_lite0"):
        make_backbone("tf_efficientnet_light0", 224)
