import numpy as np
import pytest
import torch

from components.counter.bundle import InputTransform
from components.counter.photo import BadImageError, preprocess
from components.train.data.mixing import mix
from components.train.data.transforms import (
    AREA,
    DRAWS,
    LEFT,
    MIRROR,
    RATIO,
    TOP,
    augment,
    crop_box,
    decode_rgb,
    epoch_draws,
    epoch_size,
    read_training_image,
)
from tests.drawn_bins import draw_bin
from tests.train.fitting import fast

PLAIN = {"horizontal_flip": 0, "colour_jitter": 0}


def test_without_a_crop_training_sees_what_validation_and_service_see() -> None:
    photo = draw_bin(3, seed=1, size=(96, 80))
    trained = read_training_image(memoryview(photo), epoch_draws(0, 0, 1)[0], fast(crop_scale=1), 64)
    served = preprocess(photo, InputTransform(size=64)).transpose(2, 0, 1)
    assert np.abs(trained.numpy().astype(int) - served).mean() < 2


def test_crops_stay_inside_and_cover_the_configured_shares() -> None:
    settings = fast(crop_scale=0.3, crop_ratio=0.75)
    draws = epoch_draws(1, 0, 2000)
    boxes = np.array([crop_box(row, settings, 200, 100) for row in draws])
    left, top, width, height = boxes.T
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (left + width <= 200).all()
    assert (top + height <= 100).all()
    share = width * height / 20_000
    assert 0.27 < share.min() < 0.33
    assert share.max() > 0.95
    free = (width < 195) & (height < 95)
    ratio = (width / 200) / (height / 100)
    assert 0.72 < ratio[free].min() < 0.8
    assert 1.25 < ratio[free].max() < 1.4


def test_the_largest_draws_crop_the_far_corner() -> None:
    draws = np.zeros(DRAWS, dtype=np.float32)
    draws[[AREA, RATIO, LEFT, TOP]] = 0.25, 0.5, 0.9999, 0.9999
    left, top, width, height = crop_box(draws, fast(crop_scale=0.2), 100, 100)
    assert (left + width, top + height) == (100, 100)


def test_draws_depend_on_place_epoch_and_seed_only() -> None:
    assert np.array_equal(epoch_draws(1, 2, 50), epoch_draws(1, 2, 50))
    assert not np.array_equal(epoch_draws(1, 2, 50), epoch_draws(1, 3, 50))
    assert not np.array_equal(epoch_draws(2, 2, 50), epoch_draws(1, 2, 50))


def batch(images: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    pictures = np.stack([preprocess(draw_bin(3, seed), InputTransform(size=32)) for seed in range(images)])
    return torch.tensor(pictures).permute(0, 3, 1, 2), torch.from_numpy(epoch_draws(3, 0, images))


def test_mirroring_turns_exactly_the_drawn_images() -> None:
    images, draws = batch()
    turned = augment(images, draws, fast(**PLAIN | {"horizontal_flip": 0.5}))
    for image, result, draw in zip(images, turned, draws[:, MIRROR], strict=True):
        assert torch.equal(result, image.flip(2) if draw < 0.5 else image)
    assert turned.dtype == torch.uint8


def test_recolouring_and_blanking_change_pixels_within_bounds() -> None:
    images, draws = batch()
    for options in ({"colour_jitter": 0.4}, {"random_erase": 1.0}):
        changed = augment(images, draws, fast(**PLAIN | options)).float()
        assert not torch.equal(changed, images.float())
        assert changed.min() >= 0
        assert changed.max() <= 255
    assert torch.equal(augment(images, draws, fast(**PLAIN)), images)


def test_recolouring_by_nothing_is_the_identity() -> None:
    images, draws = batch()
    torch.testing.assert_close(
        augment(images, torch.full_like(draws, 0.5), fast(**PLAIN | {"colour_jitter": 0.4})), images.float()
    )


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_mixed_targets_say_how_much_of_each_image_is_there(way: str) -> None:
    images = torch.zeros(8, 3, 32, 32)
    images[4:] = 255
    targets = torch.zeros(8, 2)
    targets[:4, 0] = targets[4:, 1] = 1
    mixed, blended = mix(images, targets, fast(**{way: 1.0}), np.random.default_rng(5))
    torch.testing.assert_close(blended.sum(1), torch.ones(8))
    torch.testing.assert_close(mixed.mean((1, 2, 3)) / 255, blended[:, 1], atol=1e-4, rtol=0)
    assert not torch.equal(mixed, images)


def test_progressive_resizing_grows_to_the_full_size() -> None:
    sizes = [epoch_size(fast(epochs=8, image_size=128, start_size=64), epoch) for epoch in range(8)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-2], sizes[-1]) == (64, 128, 128)
    assert all(size % 16 == 0 for size in sizes)


def test_bytes_that_are_no_photo_are_refused() -> None:
    with pytest.raises(BadImageError):
        decode_rgb(memoryview(b"not a photo at all"))
