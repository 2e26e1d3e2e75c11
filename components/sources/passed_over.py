"""What a listing finds beside the bins: listed one by one when it could be a bin, else said in sum."""

from dataclasses import dataclass, field

from components.documents.block import LeftOut


@dataclass
class Sum:
    """So many of a kind, and the first as an example."""

    number: int = 0
    first: str = ""

    def add(self, name: str) -> None:
        """Counts one more."""
        self.first = self.first or name
        self.number += 1


@dataclass
class PassedOver:
    """Grows while a source is listed."""

    left_out: list[LeftOut] = field(default_factory=list)
    litter: Sum = field(default_factory=Sum)
    others: Sum = field(default_factory=Sum)

    def leave_out(self, name: str, reason: str, detail: str) -> None:
        """Lists what could have been a bin."""
        self.left_out.append(LeftOut(name, reason, detail))

    def notes(self) -> list[str]:
        """What is said in sum."""
        kinds = ((self.litter, "of operating systems"), (self.others, "that are no photos"))
        return [
            f"{found.number:,} files {kind} passed over, such as {found.first}" for found, kind in kinds if found.number
        ]
