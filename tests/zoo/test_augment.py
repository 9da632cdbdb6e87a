import numpy as np
import pytest
import torch

from sparknn_magic import registry
from sparknn_magic.errors import SpecError

NAMES = registry.names("augmentation")


def build(name, **options):
    return registry.get("augmentation", name).build(**options)


def pictures(n=16, channels=3, height=24, width=32, seed=0):
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(seed))


def seeded(apply, images, seed=0):
    torch.manual_seed(seed)
    return apply(images)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("n", [1, 16])
@pytest.mark.parametrize("name", NAMES)
def test_shape_type_and_range_stay(name, n, channels):
    images = pictures(n, channels).round()  # only black and white: any overshoot leaves 0..1
    before = images.clone()
    result = seeded(build(name), images)
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.equal(images, before), "the batch that came in is left as it was"


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_and_another_seed_gives_other_pictures(name):
    apply, images = build(name), pictures()
    first = seeded(apply, images, 1)
    assert torch.equal(first, seeded(apply, images, 1))
    assert torch.equal(first, seeded(build(name), images, 1)), "a second instance, as a second rank has it"
    assert not torch.equal(first, seeded(apply, images, 2))


# Mixed with its like a picture stays as it is: tests/training/test_mixing.py looks at these two.
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("mixup", "cutmix")])
def test_pictures_of_a_batch_are_changed_each_on_its_own(name):
    same = pictures(1).expand(64, -1, -1, -1).contiguous()
    result = seeded(build(name), same)
    assert len({picture.numpy().tobytes() for picture in result}) > 1


@pytest.mark.parametrize(("name", "axis"), [("random_horizontal_flip", 3), ("random_vertical_flip", 2)])
def test_flip_mirrors_always_never_or_as_often_as_asked(name, axis):
    images = pictures(1000, 1, 4, 5)
    mirrored = torch.from_numpy(np.flip(images.numpy(), axis).copy())
    assert torch.equal(build(name, p=1.0)(images), mirrored)
    assert torch.equal(build(name, p=0.0)(images), images)
    result = seeded(build(name, p=0.3), images)
    flipped = (result == mirrored).all((1, 2, 3))
    assert (flipped | (result == images).all((1, 2, 3))).all()
    assert 0.25 < flipped.float().mean() < 0.35  # 3.4 standard deviations either way


def test_crop_is_one_of_the_shifts_of_the_padded_picture_and_every_shift_occurs():
    image = pictures(1, 3, 6, 7)
    images = image.expand(500, -1, -1, -1)
    padded = np.pad(image[0].numpy(), ((0, 0), (2, 2), (2, 2)), constant_values=0.5)
    shifts = {padded[:, y : y + 6, x : x + 7].tobytes() for y in range(5) for x in range(5)}
    result = seeded(build("random_crop", padding=2, fill=0.5), images)
    assert {picture.numpy().tobytes() for picture in result} == shifts


def test_crop_without_padding_changes_nothing():
    images = pictures()
    assert torch.equal(build("random_crop", padding=0)(images), images)


def test_resized_crop_shows_a_part_of_the_asked_area_and_ratio():
    height, width = 64, 64
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    images = torch.stack([y, x, torch.zeros_like(x)]).expand(200, -1, -1, -1)
    result = seeded(build("random_resized_crop", scale=(0.25, 0.5), ratio=(0.5, 2.0)), images)
    # The channels are coordinates: what they span is what of the picture is seen.
    tall = (result[:, 0].amax((1, 2)) - result[:, 0].amin((1, 2))) * (height - 1) + 1
    wide = (result[:, 1].amax((1, 2)) - result[:, 1].amin((1, 2))) * (width - 1) + 1
    area, ratio = tall * wide / (height * width), wide / tall
    assert area.min() > 0.25 - 0.02
    assert area.max() < 0.5 + 0.02
    assert area.max() - area.min() > 0.2
    assert ratio.min() > 0.5 - 0.04
    assert ratio.max() < 2 + 0.15


def centroids(images):
    """float32[N, 1, H, W] -> x and y of the centre of brightness from the middle of the picture, in pixels."""
    n, _, height, width = images.shape
    weight = images[:, 0] / images.sum((1, 2, 3)).view(n, 1, 1)
    x = (weight * (torch.arange(width) - (width - 1) / 2)).sum((1, 2))
    y = (weight * (torch.arange(height) - (height - 1) / 2)[:, None]).sum((1, 2))
    return x, y


def dot(x, y, n=200, side=65):
    images = torch.zeros(n, 1, side, side)
    middle = side // 2
    images[:, :, middle + y - 1 : middle + y + 2, middle + x - 1 : middle + x + 2] = 1
    return images


def test_rotation_turns_about_the_centre_by_at_most_the_degrees():
    x, y = centroids(seeded(build("random_rotation", degrees=30), dot(20, 0)))
    angle = torch.rad2deg(torch.atan2(y, x))
    assert angle.abs().max() < 30.5
    assert angle.max() > 25
    assert angle.min() < -25
    assert torch.hypot(x, y).sub(20).abs().max() < 0.3


def test_affine_shifts_scales_and_turns_within_its_bounds():
    still = {"degrees": 0.0, "translate": 0.0, "scale": (1.0, 1.0)}
    x, y = centroids(seeded(build("random_affine", **still | {"translate": 0.2}), dot(0, 0)))
    for shift in (x, y):
        assert 10 < shift.abs().max() <= 0.2 * 65 + 0.1
    x, y = centroids(seeded(build("random_affine", **still | {"scale": (0.5, 1.5)}), dot(15, 0)))
    assert y.abs().max() < 0.1
    assert 0.5 - 0.02 < (x / 15).min() < 0.6
    assert 1.4 < (x / 15).max() < 1.5 + 0.02
    x, y = centroids(seeded(build("random_affine", **still | {"shear": 20.0}), dot(0, 15)))
    assert (y - 15).abs().max() < 0.1
    assert 0.9 < x.abs().max() / (15 * np.tan(np.radians(20))) < 1.02
    images = pictures()
    assert torch.allclose(build("random_affine", **still)(images), images, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_multiplies_by_a_factor_within_its_bounds(channels):
    images = pictures(200, channels) * 0.5 + 0.1
    options = {"brightness": 0.4, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    factor = seeded(build("color_jitter", **options), images) / images
    each = factor.flatten(1).mean(1)
    assert (factor.flatten(1) - each[:, None]).abs().max() < 1e-4, "one factor a picture"
    assert 0.6 - 1e-4 <= each.min() < 0.65
    assert 1.35 < each.max() <= 1.4 + 1e-4


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_moves_pixels_from_or_to_the_mean(channels):
    images = pictures(200, channels) * 0.4 + 0.3
    options = {"brightness": 0.0, "contrast": 0.4, "saturation": 0.0, "hue": 0.0}
    result = seeded(build("color_jitter", **options), images)
    spread = result.flatten(1).std(1) / images.flatten(1).std(1)
    assert 0.6 - 1e-3 < spread.min() < 0.65
    assert 1.35 < spread.max() < 1.4 + 1e-3
    assert (result.mean((1, 2, 3)) - images.mean((1, 2, 3))).abs().max() < 0.01


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_goes_by_the_mean_of_each_picture_not_of_the_batch(channels):
    images = torch.stack([torch.full((channels, 8, 8), level) for level in (0.1, 0.5, 0.9)])
    options = {"brightness": 0.0, "contrast": 0.8, "saturation": 0.0, "hue": 0.0}
    assert torch.allclose(seeded(build("color_jitter", **options), images), images, atol=1e-5)


def test_saturation_and_hue_leave_grey_alone_in_one_channel_and_in_three():
    colours = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.9, "hue": 0.5}
    grey = pictures(32, 1)
    assert torch.allclose(seeded(build("color_jitter", **colours), grey), grey, atol=1e-6)
    three = grey.expand(-1, 3, -1, -1).contiguous()
    assert torch.allclose(seeded(build("color_jitter", **colours), three), three, atol=1e-5)
    assert not torch.allclose(seeded(build("color_jitter", **colours), pictures()), pictures(), atol=0.05)


def test_erasing_blanks_one_rectangle_of_the_asked_area():
    images = pictures(300, 3, 40, 40) * 0.5
    result = seeded(build("random_erasing", p=0.5, scale=(0.1, 0.2), ratio=(1.0, 1.0), value=1.0), images)
    changed = (result != images).any(1)
    assert 0.4 < changed.any(2).any(1).float().mean() < 0.6
    for picture, mask in zip(result, changed, strict=True):
        if not mask.any():
            continue
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        box = (slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        assert (picture[box] == 1).all()
        assert mask.sum() == picture[box][0].numel(), "all that changed is one rectangle"
        assert 0.08 < mask.float().mean() < 0.22  # sides are rounded to whole pixels


def test_blur_is_a_gaussian_convolution_with_mirrored_borders():
    image = pictures(1, 1, 12, 14)
    offsets = np.arange(-2, 3)
    kernel = np.exp(-(offsets**2) / (2 * 1.3**2))
    kernel /= kernel.sum()
    padded = np.pad(image[0, 0].numpy(), 2, mode="reflect")
    by_hand = sum(kernel[i] * kernel[j] * padded[i : i + 12, j : j + 14] for i in range(5) for j in range(5))
    blurred = build("gaussian_blur", sigma=(1.3, 1.3), kernel_size=5, p=1.0)(image)
    assert np.allclose(blurred[0, 0].numpy(), by_hand, atol=1e-5)


def test_blur_of_a_picture_smaller_than_the_kernel_is_refused():
    with pytest.raises(SpecError, match="kernel_size is 11, too large for a 5x32 picture"):
        build("gaussian_blur", kernel_size=11)(pictures(2, 1, 5))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("random_horizontal_flip", {"p": 1.5}, "random_horizontal_flip: p is 1.5; it must be between 0 and 1"),
        ("random_crop", {"padding": -1}, "padding is -1; it must be at least 0"),
        ("random_crop", {"fill": 255}, "fill is 255; it must be between 0 and 1"),
        ("random_resized_crop", {"scale": (0.5, 0.1)}, r"scale is \[0.5, 0.1\]; it must be two numbers, the smaller"),
        ("random_resized_crop", {"ratio": (0, 1)}, "ratio is 0; it must be above 0"),
        ("random_rotation", {"degrees": 181}, "degrees is 181; it must be between 0 and 180"),
        ("random_affine", {"translate": 2}, "translate is 2; it must be between 0 and 1"),
        ("color_jitter", {"hue": 0.6}, "hue is 0.6; it must be between 0 and 0.5"),
        ("random_erasing", {"value": 2}, "value is 2; it must be between 0 and 1"),
        ("gaussian_blur", {"kernel_size": 4}, "kernel_size is 4; it must be odd"),
        ("gaussian_blur", {"sigma": (0, 1)}, "sigma is 0; it must be above 0"),
    ],
)
def test_an_impossible_option_is_named_with_its_bounds(name, options, words):
    with pytest.raises(SpecError, match=words):
        build(name, **options)
