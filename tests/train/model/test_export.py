import numpy as np
import onnxruntime
import pytest
import torch

from components.train.model.export import compare, write_onnx
from components.train.model.losses import OBJECTIVES
from components.train.model.network import ServedCounter
from tests.train.fitting import fast, small_network


@pytest.mark.parametrize(
    "options",
    [{}, {"backbone": "test_vit", "flip_tta": True, "loss": "coral"}, {"normalise": "none", "loss": "corn"}],
)
def test_the_exported_graph_takes_photos_and_answers_like_torch(tmp_path, options: dict) -> None:
    settings = fast(**options)
    network = small_network(settings, classes=4).eval()
    torch.nn.init.normal_(network.head.weight)
    served = ServedCounter(network, OBJECTIVES[settings.loss].class_logits, settings.flip_tta).eval()
    photos = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    write_onnx(served, photos, tmp_path / "model.onnx")

    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (given,), (answer,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape[1:]) == ("images", "tensor(uint8)", [32, 32, 3])
    assert (answer.name, answer.shape[1:]) == ("logits", [4])
    for count in (1, 3):
        logits = session.run(None, {"images": photos[:count]})[0]
        with torch.no_grad():
            expected = served(torch.from_numpy(photos[:count]).permute(0, 3, 1, 2))
        np.testing.assert_allclose(logits, expected, atol=1e-3)


def test_an_export_that_answers_something_else_is_refused() -> None:
    logits = np.array([[0.0, 3.0], [1.0, 0.0]], dtype=np.float32)
    compare(logits, logits + 1e-4)
    for wrong in (logits + 0.1, logits[:, ::-1], logits * np.float32("nan")):
        with pytest.raises(RuntimeError, match="differs from torch"):
            compare(logits, wrong)
