from typing import Any

import pytest

from components.common.errors import InventoryError
from components.settings.step import SECTIONS, complete
from components.train.settings import TrainSettings


def test_settings_are_complete_and_say_what_the_user_chose() -> None:
    made = complete("rendered:100", "auto", {"epochs": 3.0, "momentum": "0.5"}, {"cluster": {"workers": 2.0}})

    assert made["training"].keys() == TrainSettings.model_fields.keys()
    assert (made["training"]["epochs"], made["training"]["momentum"]) == (3, 0.5)
    assert made["training"]["weights"] == "none", "the preset for rendered bins trains from scratch"
    assert made["explicit"] == ["epochs", "momentum"]
    assert made["cluster"]["workers"] == 2
    assert made["serving"]["name"] == "bin-counter"


def test_settings_that_were_completed_are_complete() -> None:
    made = complete("bins.tar", "published", {}, {})
    again = complete("bins.tar", "default", made["training"], {name: made[name] for name in SECTIONS})
    assert {**again, "explicit": []} == made


@pytest.mark.parametrize(
    ("training", "sections", "message"),
    [
        ({"learning_rat": 1}, {}, "no option 'learning_rat'; did you mean learning_rate"),
        ({"epochs": 0.5}, {}, "training option epochs = 0.5 is refused"),
        ({"batch_size": 2, "processes": 4}, {}, "training options: batch_size 2 leaves fewer than 2"),
        ({}, {"cluster": {"gpus": 1}}, r"cluster\.gpus"),
        ({}, {"cluster": {"tolerations": [{"effect": "Never"}]}}, r"cluster\.tolerations\.0\.effect"),
        ({}, {"cluster": {"memory": "8 GB"}}, r"cluster\.memory"),
        (
            {},
            {"tuning": {"space": {"learning_rate": {"min": 0, "max": 1, "log": True}}}},
            r"tuning\.space\.learning_rate",
        ),
        ({}, {"tuning": {"max_trials": 0}}, r"tuning\.max_trials"),
        ({}, {"gate": {"confidence": 2}}, r"gate\.confidence"),
        ({}, {"serving": {"min_replicas": 5, "max_replicas": 2}}, "serving: min_replicas 5 is more than"),
    ],
)
def test_what_is_impossible_is_refused_with_the_fields_name(
    training: dict[str, Any], sections: dict[str, dict[str, Any]], message: str
) -> None:
    with pytest.raises(InventoryError, match=message) as refused:
        complete("rendered", "auto", training, sections)
    assert "\n" not in str(refused.value)
