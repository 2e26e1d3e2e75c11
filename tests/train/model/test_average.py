import pytest
import torch

from components.settings.training import TrainingSettings
from components.train.model.average import Average
from components.train.model.network import make_backbone, make_network
from tests.train.fitting import fast


@pytest.mark.parametrize("trainable", ["all", "head"])
def test_the_average_follows_every_weight_and_statistic_that_moves(trainable: str) -> None:
    settings: TrainingSettings = fast(trainable=trainable)
    torch.manual_seed(0)
    network = make_network(settings, make_backbone("test_resnet", 32), 3)
    average = Average(network, 0.9)
    expected = {name: value.clone() for name, value in network.state_dict().items()}
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([value for value in network.parameters() if value.requires_grad], 0.1)
    network.train()
    for step in range(1, 6):
        network(torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update(network, step)
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            expected[name] = expected[name].lerp(value, 1 - decay) if value.is_floating_point() else value.clone()
    for name, value in average.network.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-6), name
    moved = [name for name, value in network.state_dict().items() if not torch.equal(value, before[name])]
    assert any(name.startswith("features") for name in moved) == (trainable == "all")
    assert any(name.startswith("head") for name in moved)
