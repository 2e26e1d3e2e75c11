"""What a listing finds beside the bins: listed one by one when it could be a bin, else said in sum."""

from collections import Counter
from dataclasses import dataclass, field

from components.documents.block import LeftOut

LITTER, OTHERS = "of operating systems", "that are no photos"


@dataclass
class PassedOver:
    """Grows while a source is listed."""

    left_out: list[LeftOut] = field(default_factory=list)
    numbers: Counter[str] = field(default_factory=Counter)
    """Of files, by kind."""
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, name: str) -> None:
        """Counts what could not have been a bin, as ``LITTER`` or as one of the ``OTHERS``."""
        self.examples.setdefault(kind, name)
        self.numbers[kind] += 1

    def notes(self) -> list[str]:
        """What is said in sum."""
        return [
            f"{self.numbers[kind]:,} files {kind} passed over, such as {self.examples[kind]}"
            for kind in (LITTER, OTHERS)
            if kind in self.numbers
        ]
