"""The picture of a rendered bin: a scene is laid out as plain data first, then drawn.

What is random here is never allowed to tell the count on its own: the area that the items cover together, the light
and the clutter are drawn without looking at how many items there are, so a counter has to find the items.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]
Colour = tuple[int, int, int]
T = TypeVar("T")

SIZES = ((320, 240), (336, 224), (296, 256), (264, 288))
"""Width and height of a photo in pixels; the robot crops every bin of a pod to its own shape."""

NOISE_SIDE = 400
"""Side of the stored sheet of noise in pixels; more than any photo's."""

FABRICS: tuple[Colour, ...] = ((206, 178, 92), (214, 190, 110), (190, 160, 84), (176, 160, 120), (150, 146, 138))
PLATES: tuple[Colour, ...] = ((62, 72, 96), (196, 66, 52), (226, 128, 60), (224, 150, 160), (120, 160, 200))
CARDBOARD: tuple[Colour, ...] = ((176, 134, 92), (160, 120, 80), (190, 150, 108), (150, 116, 84))
POLYBAG: tuple[Colour, ...] = ((92, 96, 104), (150, 156, 164), (64, 62, 70), (178, 182, 186), (120, 110, 96))
COLOURS: tuple[Colour, ...] = (
    (200, 52, 48),
    (226, 120, 40),
    (232, 190, 60),
    (86, 150, 70),
    (44, 116, 110),
    (60, 130, 190),
    (44, 62, 120),
    (120, 74, 140),
    (214, 110, 150),
    (232, 228, 216),
    (54, 52, 56),
    (130, 92, 60),
)


@dataclass(frozen=True)
class Look:
    """What a product looks like in every bin that holds it."""

    kind: str
    """One of ``box``, ``carton``, ``book``, ``bottle`` and ``bag``."""
    colour: Colour
    accent: Colour
    layout: float
    """In [0, 1): where its print and its sticker sit."""
    sticker: float
    """Width of its barcode sticker as a fraction of the item's shorter side."""


@dataclass(frozen=True)
class Placed:
    """One item where it stands: a rectangle of the picture, turned about its centre."""

    look: Look
    centre: Point
    half: Point
    """Half width and half height in pixels."""
    turn: tuple[float, float]
    """Cosine and sine of the rotation."""

    def at(self, u: float, v: float) -> Point:
        """The pixel of the item's own coordinates: u and v run from -1 (left, top) to 1 (right, bottom)."""
        x, y = u * self.half[0], v * self.half[1]
        cosine, sine = self.turn
        return self.centre[0] + x * cosine - y * sine, self.centre[1] + x * sine + y * cosine

    def patch(self, left: float, top: float, right: float, bottom: float) -> list[Point]:
        """A rectangle in the item's own coordinates, as a polygon of pixels."""
        return [self.at(left, top), self.at(right, top), self.at(right, bottom), self.at(left, bottom)]

    def outline(self) -> list[Point]:
        """The item's silhouette as a polygon of pixels."""
        return [self.at(u, v) for u, v in SILHOUETTES[self.look.kind]]


SQUARE: tuple[Point, ...] = ((-1, -1), (1, -1), (1, 1), (-1, 1))
SILHOUETTES: dict[str, tuple[Point, ...]] = {
    "box": SQUARE,
    "carton": SQUARE,
    "book": SQUARE,
    "bottle": (
        (-0.4, -1),
        (0.4, -1),
        (0.4, -0.78),
        (0.86, -0.6),
        (1, -0.4),
        (1, 0.9),
        (0.9, 1),
        (-0.9, 1),
        (-1, 0.9),
        (-1, -0.4),
        (-0.86, -0.6),
        (-0.4, -0.78),
    ),
    "bag": (
        (-0.86, -1),
        (-0.2, -0.92),
        (0.4, -1),
        (0.94, -0.94),
        (0.98, -0.3),
        (0.9, 0.3),
        (1, 0.86),
        (0.8, 1),
        (0.1, 0.96),
        (-0.6, 1),
        (-1, 0.9),
        (-0.9, 0.2),
        (-1, -0.4),
        (-0.96, -0.86),
    ),
}


@dataclass(frozen=True)
class Scene:
    """One bin before it is drawn."""

    size: tuple[int, int]
    interior: tuple[float, float, float, float]
    """Left, top, right and bottom of the compartment, in pixels."""
    items: list[Placed]
    """In the order of drawing: later ones stand in front."""


class Dice:
    """Uniform numbers of one PCG64 stream, whose raw doubles are the same on every machine."""

    def __init__(self, *key: int) -> None:
        self.random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key))).random

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.random()

    def below(self, count: int) -> int:
        """Uniform in 0 … count - 1."""
        return int(self.random() * count)

    def pick(self, values: Sequence[T]) -> T:
        """One of the values."""
        return values[self.below(len(values))]


def look_of(dice: Dice) -> Look:
    """Draws a product's looks."""
    kind = dice.pick(("box", "box", "carton", "carton", "carton", "book", "book", "bottle", "bag", "bag"))
    palette = {"box": CARDBOARD, "bag": POLYBAG}.get(kind, COLOURS)
    return Look(kind, dice.pick(palette), dice.pick(COLOURS), dice.random(), dice.between(0.42, 0.62))


def lay_out(looks: list[Look], dice: Dice) -> Scene:
    """Stands the items in columns on the bin's floor.

    The columns together cover a share of the compartment that is drawn without looking at the number of items. Copies
    of a product follow each other in ``looks``.
    """
    width, height = size = dice.pick(SIZES)
    left, right = width * dice.between(0.02, 0.14), width * dice.between(0.86, 0.98)
    top, bottom = height * dice.between(0.03, 0.17), height * dice.between(0.78, 0.9)
    covered = dice.between(0.3, 0.74)
    wide = dice.between(max(covered, 0.46), 0.98)
    tall = covered / wide
    items: list[Placed] = []
    columns = _columns(looks, wide * (right - left) / (tall * (bottom - top)), dice)
    widths = _shares([dice.between(0.65, 1.35) for _ in columns], wide * (right - left))
    gaps = _shares([dice.between(0.05, 1) for _ in range(len(columns) + 1)], (1 - wide) * (right - left))
    x = left
    for column, column_width, gap in zip(columns, widths, gaps, strict=False):
        x += gap
        column_height = min(tall * dice.between(0.86, 1.14), 1) * (bottom - top)
        items += _stack(column, (x + column_width / 2, bottom), column_width, column_height, dice)
        x += column_width
    return Scene(size, (left, top, right, bottom), sorted(items, key=lambda _: dice.random()))


def _columns(looks: list[Look], aspect: float, dice: Dice) -> list[list[Look]]:
    if not looks:
        return []
    count = round(math.sqrt(len(looks) * aspect) * dice.between(0.6, 1.25))
    count = min(max(count, 1), len(looks))
    cuts = [round(index * len(looks) / count) for index in range(count + 1)]
    columns = [looks[start:end] for start, end in pairwise(cuts)]
    return sorted(columns, key=lambda _: dice.random())


def _shares(weights: list[float], total: float) -> list[float]:
    return [weight * total / sum(weights) for weight in weights]


def _stack(looks: list[Look], foot: Point, width: float, height: float, dice: Dice) -> list[Placed]:
    """One column of items, the first one on the floor, where the column's middle is ``foot``."""
    centre, floor = foot
    thickness = {look: dice.between(0.65, 1.35) for look in looks}
    heights = _shares([thickness[look] for look in looks], height)
    widths = {look: width * dice.between(0.84, 1.08) for look in looks}
    placed = []
    for look, item_height in zip(looks, heights, strict=True):
        half = widths[look] / 2, item_height / 2
        # a stacked item tilts so little that it hides no more than a strip of the one below or above
        limit = min(9.0, 700 / widths[look]) if len(looks) == 1 else min(5.0, 14 * item_height / widths[look])
        angle = math.radians(dice.between(-limit, limit))
        if look.kind == "bottle" and half[0] > half[1]:  # it lies on its side
            half, angle = (half[1], half[0]), angle + math.pi / 2
        shift = dice.between(-0.04, 0.04) * width
        # rounded, so that the last bit of a machine's sine cannot move a pixel
        turn = round(math.cos(angle), 6), round(math.sin(angle), 6)
        placed.append(Placed(look, (centre + shift, floor - item_height / 2), half, turn))
        floor -= item_height
    return placed


def draw(scene: Scene, dice: Dice) -> NDArray[np.uint8]:
    """Draws a scene as the robot's camera sees it: uint8 [height, width, 3], RGB.

    The bin's own dice are for everything that is not an item.
    """
    fabric = dice.pick(FABRICS)
    image = Image.new("RGB", scene.size, fabric)
    pen = ImageDraw.Draw(image, "RGBA")
    _draw_compartment(pen, scene, fabric, dice)
    for item in scene.items:
        _draw_item(pen, item)
    _draw_front(image, pen, scene, fabric, dice)
    return _expose(np.asarray(image), dice)


def _tone(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(int(channel * factor), 255) for channel in colour)
    return red, green, blue


def _draw_compartment(pen: ImageDraw.ImageDraw, scene: Scene, fabric: Colour, dice: Dice) -> None:
    """The back wall, the side walls and the floor, with the folds of the fabric."""
    left, top, right, bottom = scene.interior
    depth = dice.between(0.05, 0.12) * (right - left)
    inner_left, inner_right = left + depth, right - depth
    inner_top, inner_bottom = top + depth * 0.4, bottom - depth * 0.7
    darkness = dice.between(0.34, 0.86)
    pen.rectangle((left, top, right, bottom), fill=_tone(fabric, darkness))
    pen.polygon(
        [(left, bottom), (inner_left, inner_bottom), (inner_right, inner_bottom), (right, bottom)],
        fill=_tone(fabric, darkness * 1.25),
    )
    for outer, inner, factor in ((left, inner_left, 0.8), (right, inner_right, 0.9)):
        pen.polygon(
            [(outer, top), (inner, inner_top), (inner, inner_bottom), (outer, bottom)],
            fill=_tone(fabric, darkness * factor),
        )
    if dice.random() < 0.6:
        _draw_liner(pen, scene, dice)
    for _ in range(4 + dice.below(9)):
        x, y = dice.between(left, right), dice.between(top, bottom)
        reach, drop = dice.between(0.08, 0.3) * (right - left), dice.between(-0.3, 0.3) * (bottom - top)
        thick = dice.between(3, 14)
        ink = (0, 0, 0, 40) if dice.random() < 0.6 else (255, 244, 214, 36)
        pen.polygon([(x, y), (x + reach, y + drop), (x + reach * 0.8, y + drop + thick), (x, y + thick)], fill=ink)


def _draw_liner(pen: ImageDraw.ImageDraw, scene: Scene, dice: Dice) -> None:
    """A sheet of packing paper or card that was left against the back wall: bright, but not an item."""
    left, top, right, bottom = scene.interior
    width, height = dice.between(0.25, 0.7) * (right - left), dice.between(0.3, 0.9) * (bottom - top)
    x, lean = dice.between(left, right - width), dice.between(-0.12, 0.12) * width
    crease = dice.between(0.25, 0.75) * width
    colour = _tone(dice.pick(((176, 140, 100), (206, 200, 188), (120, 124, 128))), dice.between(0.5, 1.0))
    peak = bottom - height
    pen.polygon([(x, bottom), (x + lean, peak), (x + lean + width, peak + lean), (x + width, bottom)], fill=colour)
    pen.line([(x + crease, bottom), (x + crease + lean, peak + lean * crease / width)], fill=_tone(colour, 0.88))


def _draw_item(pen: ImageDraw.ImageDraw, item: Placed) -> None:
    outline = item.outline()
    pen.polygon([(x + 4, y + 2) for x, y in outline], fill=(0, 0, 0, 96))
    look = item.look
    pen.polygon(outline, fill=look.colour, outline=_tone(look.colour, 0.45))
    {"box": _draw_box, "carton": _draw_carton, "book": _draw_book, "bottle": _draw_bottle, "bag": _draw_bag}[look.kind](
        pen, item
    )
    _draw_sticker(pen, item)


def _draw_box(pen: ImageDraw.ImageDraw, item: Placed) -> None:
    """Corrugated cardboard: a lid in the light, a strip of packing tape, printed marks."""
    look = item.look
    lid = -1 + 0.22 + 0.2 * look.layout
    pen.polygon(item.patch(-1, -1, 1, lid), fill=_tone(look.colour, 1.2))
    pen.polygon(item.patch(0.8, lid, 1, 1), fill=(0, 0, 0, 40))
    pen.line([item.at(-1, lid), item.at(1, lid)], fill=_tone(look.colour, 0.6))
    tape = 0.5 * look.layout - 0.4
    pen.polygon(item.patch(tape, -1, tape + 0.22, lid + 0.35), fill=(232, 214, 178, 120))
    pen.line([item.at(-0.8, 0.86), item.at(-0.2, 0.86)], fill=(40, 30, 24, 150))


def _draw_carton(pen: ImageDraw.ImageDraw, item: Placed) -> None:
    """A retail package: a coloured field, a brand line and small print."""
    look = item.look
    edge = -0.3 + 0.6 * look.layout
    if look.layout < 0.5:
        pen.polygon([item.at(-1, edge), item.at(1, edge - 0.4), item.at(1, 1), item.at(-1, 1)], fill=look.accent)
    else:
        pen.polygon(item.patch(-1, -0.9, edge, 0.9), fill=look.accent)
    paper = (246, 242, 232, 220)
    pen.polygon(item.patch(-0.75, -0.72, 0.35, -0.5), fill=paper)
    for line in range(3):
        pen.line([item.at(-0.75, -0.3 + 0.16 * line), item.at(0.1 - 0.2 * line, -0.3 + 0.16 * line)], fill=paper)
    pen.polygon(item.patch(0.86, -1, 1, 1), fill=(0, 0, 0, 60))
    pen.line([item.at(-1, -1), item.at(1, -1)], fill=(255, 255, 255, 130))


def _draw_book(pen: ImageDraw.ImageDraw, item: Placed) -> None:
    """A book: the pages show on one side, the cover has a framed title."""
    look = item.look
    pen.polygon(item.patch(0.84, -0.97, 1, 0.97), fill=(228, 220, 200))
    for page in (0.88, 0.92, 0.96):
        pen.line([item.at(page, -0.97), item.at(page, 0.97)], fill=(176, 166, 146))
    pen.polygon(item.patch(-1, -1, -0.86, 1), fill=_tone(look.colour, 0.62))
    pen.polygon(item.patch(-0.7, -0.75, 0.68, -0.2 + 0.3 * look.layout), fill=look.accent)
    for line in range(2):
        pen.line([item.at(-0.5, -0.6 + 0.2 * line), item.at(0.45, -0.6 + 0.2 * line)], fill=(250, 246, 236), width=2)


def _draw_bottle(pen: ImageDraw.ImageDraw, item: Placed) -> None:
    """A bottle: cap, shoulders, a wrapped label and the light along its side."""
    look = item.look
    pen.polygon(item.patch(-0.4, -1, 0.4, -0.8), fill=look.accent)
    pen.polygon(item.patch(-1, -0.2, 1, 0.6), fill=_tone(look.accent, 1.1))
    pen.polygon(item.patch(0.6, -0.5, 1, 0.92), fill=(0, 0, 0, 70))
    pen.polygon(item.patch(-0.8, -0.5, -0.55, 0.92), fill=(255, 255, 255, 110))


def _draw_bag(pen: ImageDraw.ImageDraw, item: Placed) -> None:
    """A polybag: creases that catch the light."""
    layout = item.look.layout
    for crease in range(5):
        u = -0.8 + 0.36 * crease
        lean = (layout - 0.5) * 1.2
        fill = (255, 255, 255, 120) if crease % 2 else (0, 0, 0, 90)
        pen.polygon([item.at(u, -0.85), item.at(u + 0.12, -0.8), item.at(u + lean * 0.6 + 0.05, 0.85)], fill=fill)
    pen.line([item.at(-0.86, -0.86), item.at(0.94, -0.82)], fill=(255, 255, 255, 140))


def _draw_sticker(pen: ImageDraw.ImageDraw, item: Placed) -> None:
    """The white barcode label that every item in stock carries."""
    look = item.look
    width = look.sticker * min(item.half)
    half_u, half_v = width / item.half[0], 0.62 * width / item.half[1]
    u = (look.layout * 7 % 1 - 0.5) * 2 * (0.8 - half_u)
    v = 0.15 + (look.layout * 13 % 1) * (0.62 - half_v)
    pen.polygon(item.patch(u - half_u, v - half_v, u + half_u, v + half_v), fill=(250, 248, 242))
    bars = 6
    for bar in range(bars):
        x = u + half_u * (-0.75 + 1.5 * bar / (bars - 1))
        pen.line([item.at(x, v - half_v * 0.7), item.at(x, v + half_v * 0.35)], fill=(40, 40, 44), width=1 + bar % 2)


def _draw_front(image: Image.Image, pen: ImageDraw.ImageDraw, scene: Scene, fabric: Colour, dice: Dice) -> None:
    """What is nearer to the camera than the items: the hem of the bin, its plate, the elastic bands."""
    (width, height), (left, top, right, bottom) = scene.size, scene.interior
    hem = _tone(fabric, dice.between(0.86, 1.04))
    sag = dice.between(2, 8)
    middle = width / 2
    for polygon in (
        [(0, 0), (left, 0), (left, height), (0, height)],
        [(right, 0), (width, 0), (width, height), (right, height)],
        [(0, 0), (width, 0), (width, top), (middle, top + sag * 0.5), (0, top)],
        [(0, height), (width, height), (width, bottom), (middle, bottom + sag), (0, bottom)],
    ):
        pen.polygon(polygon, fill=hem)
    for post in (left - 2, right + 1):
        pen.rectangle((post, top, post + 2, bottom), fill=_tone(fabric, 1.18))
    pen.line([(0, bottom + 1), (middle, bottom + sag + 1), (width, bottom + 1)], fill=_tone(fabric, 0.6), width=2)
    pen.line([(0, height - 5), (width, height - 5)], fill=_tone(fabric, 0.78))
    for share in (dice.between(0.16, 0.32), dice.between(0.58, 0.76)):
        _draw_band(pen, scene, top + share * (bottom - top), dice)
    plate_width = dice.between(0.2, 0.3) * width
    plate_left = dice.between(0.15, 0.55) * width
    _draw_plate(image, pen, (plate_left, bottom + sag + 4, plate_width, height - bottom), dice)


def _draw_band(pen: ImageDraw.ImageDraw, scene: Scene, y: float, dice: Dice) -> None:
    """A see-through elastic band that keeps the items in: fine threads across the whole bin."""
    width = scene.size[0]
    thickness, tilt, sag = dice.between(0.1, 0.2) * scene.size[1], dice.between(-5, 5), dice.between(-3, 5)
    veil, thread = int(dice.between(18, 46)), int(dice.between(50, 110))
    pen.polygon(
        [(0, y), (width / 2, y + sag), (width, y + tilt), (width, y + tilt + thickness), (0, y + thickness)],
        fill=(206, 196, 184, veil),
    )
    for row in range(0, int(thickness) + 1, 4):
        pen.line([(0, y + row), (width / 2, y + row + sag), (width, y + row + tilt)], fill=(222, 214, 204, thread))


def _draw_plate(
    image: Image.Image, pen: ImageDraw.ImageDraw, place: tuple[float, float, float, float], dice: Dice
) -> None:
    """The plate below the bin: its address and a square code."""
    left, top, width, height = place
    colour = dice.pick(PLATES)
    pen.rectangle((left, top, left + width, top + height), fill=(240, 236, 226))
    pen.rectangle((left + 3, top + 3, left + width * 0.62, top + height), fill=colour)
    text = f"{1 + dice.below(4)}{'ABCDEFGHIJ'[dice.below(10)]}"
    letters = _letters(text)
    scale = max(int(width * 0.5 / letters.width), 1)
    letters = letters.resize((letters.width * scale, letters.height * scale), Image.Resampling.NEAREST)
    image.paste((250, 250, 248), (int(left + 6), int(top + 4)), letters)
    code = np.array([[dice.random() < 0.5 for _ in range(8)] for _ in range(8)], dtype=np.uint8) * 255
    side = max(int(width * 0.28), 8)
    square = Image.fromarray(code).resize((side, side), Image.Resampling.NEAREST)
    image.paste(square, (int(left + width * 0.67), int(top + 4)))


@cache
def _letters(text: str) -> Image.Image:
    """The text as a mask in Pillow's built-in bitmap font."""
    font = ImageFont.load_default_imagefont()
    _, _, width, height = font.getbbox(text)
    mask = Image.new("L", (int(width), int(height)))
    ImageDraw.Draw(mask).text((0, 0), text, fill=255, font=font)
    return mask


@cache
def _noise(strength: int) -> NDArray[np.int16]:
    """Sensor noise to cut pieces from: int16 [side, side, 3], triangular with half width 3 x strength."""
    bits = np.random.PCG64(strength).random_raw(NOISE_SIDE * NOISE_SIDE * 3)
    low, high = (bits & 0xFF).astype(np.int16), (bits >> 8 & 0xFF).astype(np.int16)
    return ((low - high) * (3 * strength) // 255).reshape(NOISE_SIDE, NOISE_SIDE, 3)


def _expose(picture: NDArray[np.uint8], dice: Dice) -> NDArray[np.uint8]:
    """Lens and sensor: blur, uneven light, white balance, exposure and noise.

    In whole numbers only, so that no machine's floating point shows in a pixel.
    """
    height, width = picture.shape[:2]
    values = picture.astype(np.uint16)
    for _ in range(1 + (dice.random() < 0.35)):
        values[1:] = (values[1:] + values[:-1]) >> 1
        values[:, 1:] = (values[:, 1:] + values[:, :-1]) >> 1
    values *= _light(width, height, dice)
    values >>= 8
    row, column = dice.below(NOISE_SIDE - height), dice.below(NOISE_SIDE - width)
    exposed = values.view(np.int16)
    exposed += _noise(1 + dice.below(5))[row : row + height, column : column + width]
    return np.clip(exposed, 0, 255, out=exposed).astype(np.uint8)


def _light(width: int, height: int, dice: Dice) -> NDArray[np.uint8]:
    """What the camera makes of full white, in 1/256: lamps, shadows of pod and robot, exposure, white balance."""
    deep = dice.between(0.1, 0.55)
    exposure = 255 * dice.between(0.62, 1.0)
    balance = dice.between(0.94, 1), dice.between(0.9, 0.98), dice.between(0.76, 0.94)
    lamps = [[exposure * (1 - deep * dice.random()) for _ in range(4)] for _ in range(3)]
    corners = np.array([[[int(lamp * channel) for channel in balance] for lamp in row] for row in lamps])
    light = Image.fromarray(corners.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(light)
