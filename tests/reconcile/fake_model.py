"""A model server on loopback that takes text for photos: "3 items, shelf A" is counted as 3. It can fail and change."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from components.client.endpoint import Endpoint
from components.counter.answers import answer
from components.counter.bundle import Bundle, InputTransform
from tests import loopback
from tests.loopback import Answering

SURE = 0.9
NAME = "bin-counter"


def bundle(version: str = "model-1", temperature: float = 1.0) -> Bundle:
    """A model of five counts."""
    said = {"version": version, "backbone": "fake", "counts": [1, 2, 3, 4, 5], "temperature": temperature}
    return Bundle.model_validate({**said, "input": InputTransform(size=8)})


@dataclass
class FakeModel:
    """What is served, and what was asked."""

    served: Bundle = field(default_factory=bundle)
    failing: dict[str, list[int]] = field(default_factory=dict)
    """By photo: the statuses that it gets before it is answered."""
    on_question: Callable[[int], None] = lambda _: None
    """Called with the number of each question before it is answered."""
    asked: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def endpoint(self) -> Endpoint:
        """Where it is served."""
        return Endpoint(self.url, NAME)

    def reply(self, photo: str) -> tuple[int, Any]:
        """Status and JSON for one photo."""
        self.asked.append(photo)
        self.on_question(len(self.asked))
        if self.failing.get(photo):
            return self.failing[photo].pop(0), {"error": "it failed"}
        sure = SURE / self.served.temperature
        shares = [(1 - sure) / 4] * 5
        shares[int(photo.split()[0]) - 1] = sure
        return 200, {"predictions": [answer(self.served, shares, 0.5).model_dump()]}

    def times(self) -> Counter[str]:
        """How often each photo was asked about, from now on counted anew."""
        asked, self.asked = self.asked, []
        return Counter(asked)


@contextmanager
def serving(model: FakeModel) -> Iterator[FakeModel]:
    """Serves the model while the block runs."""

    class Handler(Answering):
        def do_GET(self):
            self.answer(200, json.dumps(model.served.model_dump()), "application/json")

        def do_POST(self):
            status, content = model.reply(self.sent().decode())
            self.answer(status, json.dumps(content), "application/json")

    with loopback.serving(Handler) as model.url:
        yield model
