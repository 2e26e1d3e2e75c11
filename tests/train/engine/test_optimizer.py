import pytest
import torch

from components.train.engine.optimizer import learning_rate_share, make_optimizer, parameter_groups, set_learning_rate
from tests.train.fitting import fast, small_network


@pytest.mark.parametrize("backbone", ["resnet18", "test_resnet", "test_vit"])
def test_layers_towards_the_input_learn_slower(backbone: str) -> None:
    settings = fast(backbone=backbone, layer_decay=0.5, learning_rate=1.0)
    network = small_network(settings)
    groups = parameter_groups(network, settings)
    rate = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert len(rate) == len(list(network.parameters()))
    first = next(network.features.parameters())
    assert rate[id(network.head.weight)] == 1.0
    assert rate[id(first)] == min(rate.values()) < 0.1


def test_weight_decay_spares_biases_and_normalisation() -> None:
    network = small_network(fast(weight_decay=0.1))
    for group in parameter_groups(network, fast(weight_decay=0.1)):
        assert {parameter.ndim > 1 for parameter in group["params"]} == {group["weight_decay"] > 0}


def test_a_frozen_backbone_is_no_business_of_the_optimiser() -> None:
    network = small_network(fast(trainable="head"))
    parameters = [p for group in make_optimizer(network, fast(trainable="head")).param_groups for p in group["params"]]
    assert {id(p) for p in parameters} == {id(p) for p in network.head.parameters()}


@pytest.mark.parametrize("optimizer", ["sgd", "sgdr", "adam", "adamw"])
def test_every_optimiser_moves_the_weights(optimizer: str) -> None:
    settings = fast(optimizer=optimizer)
    network = small_network(settings)
    before = network.head.weight.detach().clone()
    made = make_optimizer(network, settings)
    set_learning_rate(made, settings, 1.0)
    network(torch.rand(4, 3, 32, 32)).square().sum().backward()
    made.step()
    assert not torch.equal(before, network.head.weight)


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        ({"schedule": "constant", "warmup_epochs": 0}, {0: 1, 5: 1, 10: 1}),
        ({"schedule": "constant", "warmup_epochs": 2}, {0: 0.01, 1: 0.5, 2: 1}),
        ({"schedule": "cosine", "warmup_epochs": 0}, {0: 1, 5: 0.505, 10: 0.01}),
        (
            {"optimizer": "sgdr", "warmup_epochs": 0, "restart_epochs": 2, "restart_factor": 2},
            {0: 1, 1: 0.505, 2: 1, 4: 0.505, 6: 1},
        ),
    ],
)
def test_the_learning_rate_follows_its_schedule(options: dict, shares: dict[float, float]) -> None:
    settings = fast(epochs=10, **options)
    for epochs_done, share in shares.items():
        assert learning_rate_share(settings, epochs_done) == pytest.approx(share, abs=1e-6)
