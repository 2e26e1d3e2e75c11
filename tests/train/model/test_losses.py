import pytest
import torch

from components.train.model.losses import OBJECTIVES, ThresholdHead, targets_of


@pytest.mark.parametrize("name", OBJECTIVES)
def test_training_on_any_loss_makes_the_class_logits_right(name: str) -> None:
    torch.manual_seed(0)
    objective, classes = OBJECTIVES[name], 5
    labels = torch.arange(200) % classes
    features = torch.stack([labels.float(), torch.randn(200) * 0.1], 1)  # ordered, as counts are
    width = objective.outputs(classes)
    head = ThresholdHead(2, width) if objective.shared_weight else torch.nn.Linear(2, width)
    torch.nn.init.trunc_normal_(head.weight, std=0.01)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.2)
    for _ in range(300):
        optimizer.zero_grad()
        objective.loss(head(features), targets_of(labels, classes)).mean().backward()
        optimizer.step()
    logits = objective.class_logits(head(features))
    assert logits.shape == (200, classes)
    assert (logits.argmax(1) == labels).float().mean() > 0.95


@pytest.mark.parametrize("name", ["coral", "corn"])
def test_ordinal_logits_are_log_probabilities(name: str) -> None:
    outputs = torch.randn(50, 4).sort(1, descending=True).values
    logits = OBJECTIVES[name].class_logits(outputs)
    torch.testing.assert_close(logits.exp().sum(1), torch.ones(50), atol=1e-4, rtol=0)


def test_coral_is_the_sum_over_thresholds_that_the_paper_defines() -> None:
    outputs, label = torch.tensor([[2.0, 0.5, -1.0]]), torch.tensor([2])  # more than 0: yes, than 1: yes, than 2: no
    expected = -(outputs[0, 0].sigmoid().log() + outputs[0, 1].sigmoid().log() + (1 - outputs[0, 2].sigmoid()).log())
    torch.testing.assert_close(OBJECTIVES["coral"].loss(outputs, targets_of(label, 4))[0], expected)


def test_corn_is_the_sum_over_the_conditions_that_hold() -> None:
    outputs, label = torch.tensor([[2.0, 0.5, -1.0]]), torch.tensor([1])  # the third condition does not arise
    expected = -(outputs[0, 0].sigmoid().log() + (1 - outputs[0, 1].sigmoid()).log())
    torch.testing.assert_close(OBJECTIVES["corn"].loss(outputs, targets_of(label, 4))[0], expected)


def test_soft_ordinal_targets_forgive_near_counts_more() -> None:
    label, loss = torch.tensor([1]), OBJECTIVES["soft_ordinal"].loss
    confident = [loss(10.0 * torch.nn.functional.one_hot(torch.tensor([k]), 5), targets_of(label, 5)) for k in range(5)]
    assert confident[1] < confident[2] < confident[3] < confident[4]


def test_smoothed_targets_are_probabilities() -> None:
    targets = targets_of(torch.tensor([0, 2]), 4, smoothing=0.2)
    torch.testing.assert_close(targets, torch.tensor([[0.85, 0.05, 0.05, 0.05], [0.05, 0.05, 0.85, 0.05]]))
