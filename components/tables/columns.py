"""The columns that tables of bins and photos have, and what people call them."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from components.common.measures import INCHES, POUNDS

WORDS = re.compile(r"[^\W_]+")
UNIT = re.compile(r"[(\[].*?[)\]]")
"""As in "Expected (pcs)"."""


@dataclass(frozen=True)
class Column:
    """A column that a table may have; the first column of a reader names what a row is about."""

    name: str
    """What the code and messages call it."""
    also: tuple[str, ...] = ()
    """Other names for it, the likeliest first; compared as ``plain_name`` makes them."""
    required: bool = True
    """A table without it is refused."""
    is_number: bool = False
    """It holds quantities."""
    goes_on: bool = False
    """A row that has it, and nothing in the first column, is about the same as the row above, as in merged cells."""
    holds_several: bool = False
    """Its cells may hold several things: on lines of their own, or as a list that a program wrote."""
    units: tuple[str, ...] = ()
    """It holds measures in one of these units, which a header may name: ``length_cm``, "Length (cm)"."""

    def rank(self, header: str) -> int | None:
        """How well a header names this column: 0 is best; None when it names another."""
        names = (self.name, *self.also)
        words = plain_name(header).split("_")
        while self.units and len(words) > 1 and words[-1] in (*self.units, "in"):  # "Weight in kg"
            words.pop()
        plain = "_".join(words)
        return names.index(plain) if plain in names else None

    def unit_in(self, header: str) -> str:
        """The unit that a header of this column names, which may be none of the known; empty for none."""
        told = [text[1:-1].strip(". ").casefold().removeprefix("in ") for text in UNIT.findall(header)]
        *_, last = header.casefold().replace("_", " ").split() or [""]
        return next((unit for unit in (*told, last) if unit in self.units), told[0] if told else "")


def plain_name(header: str) -> str:
    """A header without case, spaces, signs and units: "Expected Qty. (pcs)" is ``expected_qty``."""
    text = unicodedata.normalize("NFKC", UNIT.sub(" ", header)).casefold()
    return "_".join(WORDS.findall(text))


def needed(columns: Sequence[Column]) -> str:
    """The required columns as a message names them, and the others in brackets: ``path,count[,product]``."""
    return ",".join(each.name for each in columns if each.required) + "".join(
        f"[,{each.name}]" for each in columns if not each.required
    )


_PHOTO = (
    *("file_name", "filename", "file", "file_path", "filepath", "image", "image_name", "image_file"),
    *("image_filename", "image_path", "img", "img_path", "photo", "photo_name", "photo_file", "photo_path"),
    *("picture", "bild", "foto", "datei", "dateiname"),
)
_ID = (
    *("bin_id", "bin", "bin_no", "bin_number", "bin_code", "bin_name", "location", "location_id", "slot"),
    *("lagerplatz", "platz", "fach", "behälter", "image_id", "photo_id"),
)
_EXPECTED = (
    *("expected_quantity", "expected_qty", "expected_count", "quantity", "qty", "count", "stock", "stock_quantity"),
    *("on_hand", "quantity_on_hand", "book_quantity", "items", "menge", "anzahl", "bestand", "soll", "sollmenge"),
    *("sollbestand",),
)
_COUNTED = (
    *("counted_quantity", "counted_qty", "recount", "recounted", "recounted_quantity", "actual", "actual_quantity"),
    *("actual_count", "found", "gezählt", "zählmenge", "ist", "istmenge", "istbestand"),
)
_CODES = (
    *("asin", "asins", "sku", "skus", "fcsku", "fnsku", "product_id", "product_ids", "product_code", "product_number"),
    *("gtin", "ean", "upc", "isbn", "barcode", "artikelnummer", "artikelnr", "artikel_nr", "materialnummer"),
)
_NAMES = ("product_name", "product_names")
_ITEMS = ("item", "item_name", "artikel", "produkt")

ID = Column("id", (*_ID, *_PHOTO, "path"))
EXPECTED = Column("expected", _EXPECTED, is_number=True)
COUNTED = Column("counted", _COUNTED, is_number=True)
PRODUCTS = Column("products", ("products", "product", *_NAMES, *_CODES, *_ITEMS), required=False, holds_several=True)
PHOTO = Column("path", (*_PHOTO, "id", *_ID))
COUNT = Column(
    "count", ("label", "labels", "counted", "item_count", "num_items", "expected", *_EXPECTED), is_number=True
)
PRODUCT = Column("product", ("products", *_CODES, *_NAMES, *_ITEMS), required=False, holds_several=True)
SPLIT = Column("split", ("subset", "set", "part", "partition", "fold"), required=False)

LENGTH_UNITS, WEIGHT_UNITS = tuple(INCHES), tuple(POUNDS)
CODE = Column("asin", (*_CODES, "item_id", "item_code", "item_number"), required=False, holds_several=True)
"""What a product is known by."""
LENGTH = Column("length", ("item_length", "länge", "laenge", "depth", "tiefe"), required=False, units=LENGTH_UNITS)
WIDTH = Column("width", ("item_width", "breite"), required=False, units=LENGTH_UNITS)
HEIGHT = Column("height", ("item_height", "höhe", "hoehe", "depth", "tiefe"), required=False, units=LENGTH_UNITS)
WEIGHT = Column("weight", ("item_weight", "gewicht", "mass", "masse"), required=False, units=WEIGHT_UNITS)
SIZE_UNIT = Column("length_unit", ("size_unit", "dimension_unit", "dimensions_unit", "längeneinheit"), required=False)
WEIGHT_UNIT = Column("weight_unit", ("gewichtseinheit",), required=False)
