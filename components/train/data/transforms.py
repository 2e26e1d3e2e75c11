"""From a stored JPEG to training pixels: decode, crop and resize one by one, everything else on whole batches.

Every random draw of an epoch is one table, a row for each place in the epoch: the augmentation of a bin does not
depend on threads, workers or on what was computed before, so an interrupted epoch goes on with the same pixels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision.io import ImageReadMode, decode_jpeg

from components.counter.photo import decode
from components.settings.training import TrainingSettings

DRAWS = 12
(AREA, RATIO, LEFT, TOP, MIRROR, UPSIDE, BRIGHTNESS, CONTRAST, SATURATION, ERASE, ERASE_LEFT, ERASE_TOP) = range(DRAWS)
Draws = NDArray[np.float32]
ERASED_SIDE = 0.25
"""Sides of the blanked rectangle as a share of the image's."""


def epoch_draws(seed: int, epoch: int, bins: int) -> Draws:
    """Uniform draws [bins, DRAWS] in [0, 1) for every place of an epoch."""
    return np.random.default_rng([seed, epoch, 3]).random((bins, DRAWS), dtype=np.float32)


def epoch_size(settings: TrainingSettings, epoch: int) -> int:
    """Image size of an epoch (from 0).

    It grows from ``start_size`` to ``image_size`` over the first three quarters of the training, in steps of 16 pixels
    (progressive resizing: Howard, 2018).
    """
    growing = max(1, round(settings.epochs * 0.75))
    if not settings.start_size or epoch >= growing:
        return settings.image_size
    size = settings.start_size + (settings.image_size - settings.start_size) * epoch / growing
    return min(settings.image_size, max(16, 16 * round(size / 16)))


def decode_rgb(data: memoryview) -> Tensor:
    """Decodes a stored photo to uint8 [3, H, W].

    libjpeg-turbo through torchvision: without Python objects in between and with the GIL released. Kinds of JPEG that
    it refuses go through Pillow.

    Raises:
        BadImageError: if it is no readable photo.
    """
    try:
        return decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB)
    except RuntimeError:
        return torch.from_numpy(np.array(decode(data))).permute(2, 0, 1)


def crop_box(draws: Draws, settings: TrainingSettings, width: int, height: int) -> tuple[int, int, int, int]:
    """The random resized crop (Szegedy et al., 2015) as ``left, top, width, height`` in pixels.

    The area's share is uniform in [crop_scale, 1] and the aspect ratio log-uniform in [crop_ratio, 1 / crop_ratio],
    both relative to the whole photo, which validation squashes to a square.
    """
    if settings.crop_scale == 1:
        return 0, 0, width, height
    share = settings.crop_scale + (1 - settings.crop_scale) * float(draws[AREA])
    ratio = settings.crop_ratio ** (1 - 2 * float(draws[RATIO]))
    wide = max(1, min(width, round(width * (share * ratio) ** 0.5)))
    high = max(1, min(height, round(height * (share / ratio) ** 0.5)))
    return int((width - wide + 1) * draws[LEFT]), int((height - high + 1) * draws[TOP]), wide, high


def read_training_image(data: memoryview, draws: Draws, settings: TrainingSettings, size: int) -> Tensor:
    """Decodes a stored JPEG, crops it by its place's row of ``epoch_draws`` and resizes it: uint8 [3, size, size]."""
    image = decode_rgb(data)
    left, top, width, height = crop_box(draws, settings, image.shape[2], image.shape[1])
    image = image[:, top : top + height, left : left + width]
    if image.shape[1:] == (size, size):
        return image
    return functional.interpolate(image[None], (size, size), mode="bilinear", antialias=True)[0]


def augment(images: Tensor, draws: Tensor, settings: TrainingSettings) -> Tensor:
    """Mirrors, recolours and blanks parts of a batch, uint8 [N, 3, S, S], on its own device, by its ``epoch_draws``.

    Returns:
        [N, 3, S, S], values from 0 to 255; uint8 if nothing had to be recoloured.
    """
    for column, probability, axis in ((MIRROR, settings.horizontal_flip, 3), (UPSIDE, settings.vertical_flip, 2)):
        if probability:
            chosen = (draws[:, column] < probability).view(-1, 1, 1, 1)
            images = torch.where(chosen, images.flip(axis), images)
    if settings.colour_jitter:
        images = _recolour(images.float(), draws, settings.colour_jitter)
    if settings.random_erase:
        images = _erase(images, draws, settings.random_erase)
    return images


def _recolour(images: Tensor, draws: Tensor, strength: float) -> Tensor:
    """Changes brightness, contrast and saturation in place, each by a factor from 1 - strength to 1 + strength."""
    brightness, contrast, saturation = (
        (1 + strength * (2 * draws[:, column] - 1)).view(-1, 1, 1, 1) for column in (BRIGHTNESS, CONTRAST, SATURATION)
    )
    luma = images.new_tensor([0.299, 0.587, 0.114])  # ITU-R BT.601
    grey = torch.tensordot(images, luma, dims=([1], [0])).unsqueeze(1)
    level = grey.mean((2, 3), keepdim=True)
    # brightness * (level + contrast * (grey + saturation * (image - grey) - level)), with few passes over the pixels
    grey.mul_(brightness * contrast * (1 - saturation)).add_(brightness * (1 - contrast) * level)
    return images.mul_(brightness * contrast * saturation).add_(grey).clamp_(0, 255)


def _erase(images: Tensor, draws: Tensor, probability: float) -> Tensor:
    side = images.shape[-1]
    block = round(side * ERASED_SIDE)
    images = images.clone()
    for row in (draws[:, ERASE] < probability).nonzero()[:, 0].tolist():
        left = int(draws[row, ERASE_LEFT] * (side - block))
        top = int(draws[row, ERASE_TOP] * (side - block))
        images[row, :, top : top + block, left : left + block] = 128
    return images
