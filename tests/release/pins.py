"""What a file of requirements pins, and by which hashes."""

import re
from pathlib import Path

PIN = re.compile(r"[\w.-]+==[\w.!+-]+( ; .+)?")
SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def unhashed(file: Path) -> list[str]:
    """Lines of a file that are no exact version with the SHA-256 of its files."""
    lines = re.sub(r" \\\n +", " ", file.read_text()).splitlines()
    return [
        pin
        for pin, *hashes in (line.split(" --hash=") for line in lines if not line.startswith("#"))
        if not (PIN.fullmatch(pin) and hashes and all(map(SHA256.fullmatch, hashes)))
    ]
