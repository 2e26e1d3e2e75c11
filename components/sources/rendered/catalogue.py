"""The catalogue behind the rendered bins: invented products with names, sizes and looks."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from components.sources.rendered.picture import Dice, Look, look_of

PLACES = 16
"""Products that one bin can list first."""

_ASIN_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ASIN_NUMBERS = 36**8
_SPREAD = 1_664_525_013_907  # coprime with 36, so that multiplying permutes the numbers

_STREAM = 3  # apart from the streams of a bin's own

BRANDS = ("Harlow", "Northpine", "Kestrel & Co", "Ovalto", "Brightwell", "Tidemark", "Lumora", "Greyfield", "Pactra")
ADJECTIVES = ("Classic", "Compact", "Premium", "Everyday", "Heavy Duty", "Slim", "Organic", "Reusable", "Deluxe")
VARIANTS = ("Red", "Slate Grey", "Large", "Pack of 2", "12 oz", "2nd Edition", "Blue/White", "6-Count", "Small")
NOUNS = {
    "box": ("Storage Hooks", "Desk Lamp", "Bath Mat", "Toaster Tray", "Shelf Brackets", "Door Hardware Set"),
    "carton": ("Herbal Tea", "Board Game", "Phone Case", "Night Light", "Screen Protector", "Puzzle, 500 Pieces"),
    "book": ("A Field Guide to Moths", "The Harbour Road", "Baking by Weight", "Algebra Workbook", "Knots and Splices"),
    "bottle": ("Shampoo", "Vitamin C Capsules", "Dish Soap", "Water Bottle", "Hand Lotion", "Glass Cleaner"),
    "bag": ("Cotton T-Shirt", "Running Socks", "Pillow Case", "Baby Blanket", "Dog Leash", "Yoga Strap"),
}
INCHES = {
    "box": (4.0, 16.0),
    "carton": (3.0, 11.0),
    "book": (5.0, 11.0),
    "bottle": (4.0, 10.0),
    "bag": (6.0, 14.0),
}
"""Range of a product's longest side, by kind."""

WEIGHT_UNKNOWN = 0.03
"""Share of products without a weight, as in the public dataset."""


@dataclass(frozen=True)
class Product:
    """A product: what the stock system knows, and what it looks like."""

    asin: str
    name: str
    inches: tuple[float, float, float]
    """Length, width and height."""
    pounds: float | None
    look: Look

    def record(self, quantity: int) -> dict[str, Any]:
        """The product's entry in the metadata of a bin that holds it."""
        length, width, height = ({"unit": "IN", "value": value} for value in self.inches)
        return {
            "asin": self.asin,
            "height": height,
            "length": length,
            "name": self.name,
            "normalizedName": self.name,
            "quantity": quantity,
            "weight": None if self.pounds is None else {"unit": "pounds", "value": self.pounds},
            "width": width,
        }


@lru_cache(maxsize=64)
def product(first_bin: int, place: int, seed: int) -> Product:
    """One product of a seed's catalogue: the one at a place, below ``PLACES``, of the first bin that lists it."""
    dice = Dice(seed, first_bin, _STREAM, place)
    look = look_of(dice)
    name = f"{dice.pick(BRANDS)} {dice.pick(ADJECTIVES)} {dice.pick(NOUNS[look.kind])}, {dice.pick(VARIANTS)}"
    length = dice.between(*INCHES[look.kind])
    width = length * dice.between(0.4, 0.95)
    height = width * dice.between(0.15, 0.9)
    pounds = None if dice.random() < WEIGHT_UNKNOWN else round(0.01 + length * width * height * 0.012, 2)
    inches = round(length, 1), round(width, 1), round(height, 1)
    return Product(_asin(first_bin * PLACES + place, seed), name, inches, pounds, look)


def _asin(number: int, seed: int) -> str:
    """A ten-character ASIN, different for every number of a seed."""
    number = (number * _SPREAD + Dice(seed).below(_ASIN_NUMBERS)) % _ASIN_NUMBERS
    digits = ""
    for _ in range(8):
        number, digit = divmod(number, 36)
        digits += _ASIN_DIGITS[digit]
    return f"B0{digits}"
