"""The environments that are installed from pinned requirements."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ("all", "control", "train", "serve", "client", "control-cli")
"""A checkout, the three images, and the extras of the wheel that no image has, by their files in requirements/."""
