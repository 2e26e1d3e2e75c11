"""P(count | products): a small network as plain numbers, and how its answer and a photo's become one.

Given the count, what the photo shows and which products the record names are taken for independent, so that

    P(count | photo, products) ~ P(count | photo) P(count | products) / P(count)

(Bishop, "Pattern Recognition and Machine Learning", 2006, 1.5.4, combining models). They are not quite independent
and neither is perfectly calibrated, so that the exponents and the last factor are fitted on validation bins:
log P = a log P(count | photo) + b log P(count | products) + c[count], normalised.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from components.common.document import Document, Part
from components.common.errors import InventoryError
from components.counter.bundle import Bundle, Finite, read_verified
from components.counter.record.features import features
from components.counter.record.record import Listed
from components.counter.statistics.metrics import Floats, log_softmax

RECORD_FILE = "record.json"
"""In the folder of a bundle that knows what records tell."""
CLIP = 3.0
"""Standard deviations: what lies further out is no more than odd."""

Vector = Annotated[list[Finite], Field(min_length=1, max_length=1000)]


class Layer(Part):
    """values @ weight + bias."""

    weight: Annotated[list[Vector], Field(min_length=1, max_length=1000)]
    bias: Vector

    @cached_property
    def apply(self) -> Callable[[Floats], Floats]:
        """The layer as a function; its arrays are made once, since a server is asked about one record after another."""
        weight, bias = np.array(self.weight), np.array(self.bias)
        return lambda values: values @ weight + bias


class Combination(Part):
    """a, b and c of the formula above."""

    photo: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    products: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    offset: Vector
    """By count."""

    def apply(self, photo: Floats, products: Floats) -> Floats:
        """Logits of the two together, [N, K], from log P(count | photo) and log P(count | products), [N, K] each."""
        return self.photo * photo + self.products * products + np.asarray(self.offset)


class RecordModel(Document):
    """What is kept in ``record.json``."""

    KIND: ClassVar[str] = "record-model"
    counts: Annotated[list[int], Field(min_length=1, max_length=1000)]
    """The K counts of the bundle."""
    open_top: bool
    mean: Vector
    """Of each feature over the training bins where it is known."""
    scale: Vector
    """Its standard deviation there."""
    networks: Annotated[list[list[Layer]], Field(min_length=1, max_length=100)]
    """The mean of their probabilities is the answer."""
    combination: Combination
    training_bins: int
    validation_bins: int

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        inputs = features(Listed.of([])).shape[1]
        if len(self.mean) != inputs or len(self.scale) != inputs or min(self.scale) <= 0:
            raise ValueError(f"mean and scale are not of {inputs} features")
        if len(self.combination.offset) != len(self.counts):
            raise ValueError("the combination is not of these counts")
        for network in self.networks:
            width = inputs
            for layer in network:
                if len(layer.weight) != width or any(len(row) != len(layer.bias) for row in layer.weight):
                    raise ValueError("a network's layers do not fit together")
                width = len(layer.bias)
            if not network or width != len(self.counts):
                raise ValueError("a network does not answer these counts")
        return self

    def speaks(self, listed: Listed) -> NDArray[np.bool_]:
        """Which records tell something: those that name a product, and no more products than a count can say."""
        number = listed.products
        return (number > 0) & (self.open_top | (number <= self.counts[-1]))

    def log_probabilities(self, listed: Listed) -> Floats:
        """Logarithms of P(count | products), float64 [N, K]."""
        inputs = standardised(features(listed), np.asarray(self.mean), np.asarray(self.scale))
        mean = np.mean([np.exp(log_softmax(_run(network, inputs))) for network in self.networks], axis=0)
        return np.log(np.maximum(mean, np.finfo(np.float64).tiny))

    def with_record(self, photo: NDArray[np.floating], listed: Listed) -> Floats:
        """What photo and record say together.

        Args:
            photo: calibrated logits, or log P(count | photo), [N, K].
            listed: the products of the same N bins.

        Returns:
            Logits, float64 [N, K]; those of the photo, unchanged, where the record tells nothing.
        """
        both = self.combination.apply(log_softmax(photo), self.log_probabilities(listed))
        return np.where(self.speaks(listed)[:, None], both, np.asarray(photo, dtype=np.float64))


def standardised(values: Floats, mean: Floats, scale: Floats) -> Floats:
    """Features in standard deviations from their means; what is not known is the mean."""
    return np.nan_to_num(np.clip((values - mean) / scale, -CLIP, CLIP))


def _run(network: list[Layer], values: Floats) -> Floats:
    for number, layer in enumerate(network):
        if number:
            values = values / (1 + np.exp(-values))  # SiLU; only the last layer's answer is taken as it is
        values = layer.apply(values)
    return values


def of_bundle(folder: Path, bundle: Bundle) -> RecordModel | None:
    """The record model of a bundle, verified; None when it has none.

    Raises:
        InventoryError: if it is damaged, or answers other counts than the bundle.
    """
    if RECORD_FILE not in bundle.files:
        return None
    model = RecordModel.parse(read_verified(folder, bundle, RECORD_FILE), str(folder / RECORD_FILE))
    if (model.counts, model.open_top) != (bundle.counts, bundle.open_top):
        raise InventoryError(f"{folder / RECORD_FILE} answers other counts than its bundle; evaluate the model again")
    return model
