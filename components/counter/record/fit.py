"""Learning on training bins what products tell of a count, and on validation bins how far to trust it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from components.counter.record.features import features
from components.counter.record.model import Combination, Layer, RecordModel, standardised
from components.counter.record.record import Listed
from components.counter.statistics.metrics import Floats, Integers, log_softmax, softmax

FEWEST_BINS = 50
"""Training bins that name products; fewer teach nothing."""
NETWORKS, WIDTH, DROPOUT = 3, 32, 0.15
EPOCHS, BATCH, MOST_STEPS = 10, 128, 8000
LEARNING_RATE, WEIGHT_DECAY = 5e-3, 0.1
FORGOTTEN = 0.3
"""Share of the sizes, and of the weights, that a second copy of the training bins lacks: so the missing is learnt."""
EXPONENT_SPREAD, OFFSET_SPREAD = 0.5, 0.3
"""Standard deviations, before any bin was seen, of a and b about 1 and of c about -log P(count)."""


def fit(
    counts: list[int],
    open_top: bool,
    training: Listed,
    labels: Integers,
    validation: Listed,
    validation_labels: Integers,
    photo: NDArray[np.floating],
) -> RecordModel | None:
    """Fits the record model of K counts, and how it is combined with a photo's answer.

    Args:
        counts: ascending.
        open_top: whether the last means "that many or more".
        training: the products of the N training bins, whose classes are ``labels``, [N].
        labels: class indices.
        validation: the products of the M validation bins, and ``validation_labels``, [M].
        validation_labels: class indices.
        photo: calibrated logits of the validation bins, [M, K].

    Returns:
        None when too few training bins name products.
    """
    named = np.flatnonzero(training.products > 0)
    if len(named) < FEWEST_BINS:
        return None
    training, labels = training.take(named), labels[named]
    values = features(training)
    known = np.isfinite(values)
    number = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0).sum(axis=0) / number
    deviation = np.sqrt((np.where(known, values - mean, 0) ** 2).sum(axis=0) / number)
    scale = np.where(deviation > 1e-6, deviation, 1.0)
    forgetful = features(_forgetting(training, np.random.default_rng(0)))
    inputs = standardised(np.concatenate([values, forgetful]), mean, scale)
    truth = np.concatenate([labels, labels])
    prior = (np.bincount(labels, minlength=len(counts)) + 1) / (len(labels) + len(counts))
    model = RecordModel(
        counts=counts,
        open_top=open_top,
        mean=mean.tolist(),
        scale=scale.tolist(),
        networks=[_network(inputs, truth, len(counts), member) for member in range(NETWORKS)],
        combination=Combination(photo=1.0, products=1.0, offset=(-np.log(prior)).tolist()),
        training_bins=len(labels),
        validation_bins=0,
    )
    told = np.flatnonzero(model.speaks(validation))
    products = model.log_probabilities(validation.take(told))
    combination = fit_combination(log_softmax(photo)[told], products, validation_labels[told], prior)
    return model.model_copy(update={"combination": combination, "validation_bins": len(told)})


def _forgetting(listed: Listed, generator: np.random.Generator) -> Listed:
    measures = listed.measures.copy()
    measures[generator.random(len(measures)) < FORGOTTEN, :3] = np.nan
    measures[generator.random(len(measures)) < FORGOTTEN, 3] = np.nan
    return replace(listed, measures=measures)


def _network(inputs: Floats, labels: Integers, classes: int, seed: int) -> list[Layer]:
    """Trains one network by AdamW with a one-cycle rate (Smith, Topin, "Super-Convergence", 2019)."""
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(seed)
        between = (torch.nn.SiLU(), torch.nn.Dropout(DROPOUT))
        first, second = torch.nn.Linear(inputs.shape[1], WIDTH), torch.nn.Linear(WIDTH, WIDTH)
        network = torch.nn.Sequential(first, *between, second, *between, torch.nn.Linear(WIDTH, classes))
        values, truth = torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)
        steps = min(MOST_STEPS, EPOCHS * -(-len(values) // BATCH))
        optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
        order = torch.cat([torch.randperm(len(values)) for _ in range(-(-steps * BATCH // len(values)))])
        for step in range(steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(values[chosen]), truth[chosen]).backward()
            optimizer.step()
            rate.step()
    layers = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    return [Layer(weight=_numbers(layer.weight.T), bias=_numbers(layer.bias)) for layer in layers]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Steps this small take longer when threads wait for each other, on a busy machine a hundred times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _numbers(values: torch.Tensor) -> list:
    """Numbers with the six digits that matter, so that the file stays small."""
    return np.vectorize(lambda value: float(f"{value:.6g}"))(values.detach().numpy()).tolist()


def fit_combination(photo: Floats, products: Floats, labels: Integers, prior: Floats) -> Combination:
    """The combination that makes the labels most likely, given a normal prior about that of independence.

    It is multinomial logistic regression on two logarithms, and convex. With no bin, a = b = 1 and c = -log P(count).

    Args:
        photo: log P(count | photo), [N, K], of bins that neither model was trained on.
        products: log P(count | products) of the same bins, [N, K].
        labels: class indices, [N].
        prior: P(count), [K].
    """
    truth = np.eye(len(prior))[labels]
    centre = np.concatenate([[1.0, 1.0], -np.log(prior)])
    spread = np.concatenate([[EXPONENT_SPREAD] * 2, [OFFSET_SPREAD] * len(prior)])

    def loss(parameters: Floats) -> tuple[float, Floats]:
        logits = parameters[0] * photo + parameters[1] * products + parameters[2:]
        error, away = softmax(logits) - truth, (parameters - centre) / spread
        value = -(log_softmax(logits) * truth).sum() + (away**2).sum() / 2
        gradient = np.concatenate([[(error * photo).sum(), (error * products).sum()], error.sum(axis=0)])
        return float(value), gradient + away / spread

    bounds = [(0.0, None)] * 2 + [(None, None)] * len(prior)
    found = minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12}).x
    return Combination(photo=float(found[0]), products=float(found[1]), offset=found[2:].tolist())
