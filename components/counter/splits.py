"""The names of a dataset's parts and of the ways to choose them; settings need no more than these words."""

from typing import Literal

SPLITS = ("train", "validation", "test")
Method = Literal["products", "blocks", "random"]
