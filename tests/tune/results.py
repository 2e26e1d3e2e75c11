"""Searches that were never made."""

import math
from typing import Any

from components.documents.search_result import DEFAULT_TRIAL, SearchResult, Trial
from components.settings.space import DEFAULT_SPACE


def trial(number: int, rate: float, epochs: int = 12, batch_size: int = 64, **known: Any) -> Trial:
    """A trial that is the better the nearer its learning rate is to 0.001."""
    name = f"{number:03}" if number else DEFAULT_TRIAL
    value = 0.5 - 0.1 * abs(math.log10(rate / 1e-3))
    start = 1.8e9 + 100 * number
    filled = {
        "status": "succeeded",
        "objective": value,
        "epochs": [value * (epoch + 1) / epochs for epoch in range(epochs)],
        "start": start,
        "end": start + 150,
        **known,
    }
    parameters = {"learning_rate": rate, "batch_size": batch_size, "epochs": epochs}
    return Trial(name=name, parameters=parameters, output=f"runs/r/trials/{name}", **filled)


def found(*trials: Trial, **known: Any) -> SearchResult:
    """A search with these trials, or with a dozen of all kinds."""
    some = trials or (
        trial(0, 5e-3, epochs=10, batch_size=32),
        *(trial(n, 1e-5 * 10 ** (3 * n / 12), 10 + n % 10, (32, 64, 128, 256)[n % 4]) for n in range(1, 10)),
        trial(10, 2e-5, status="early stopped", reason="half of the others were better after 4 epochs"),
        trial(11, 9e-3, status="failed", objective=None, epochs=12, reason="<b>out of memory</b>"),
    )
    plain = {"backend": "optuna", "name": "r", "objective": "accuracy", "algorithm": "tpe", "space": DEFAULT_SPACE}
    return SearchResult(**{**plain, "trials": list(some), **known})
