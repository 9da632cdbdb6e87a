import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sparknn_magic import registry
from sparknn_magic.errors import SpecError

# name -> options -> (height, width) of a 20x30 picture after it
CASES = {
    "resize": ({"size": [12, 18]}, (12, 18)),
    "center_crop": ({"size": 16}, (16, 16)),
    "letterbox": ({"size": 32}, (32, 32)),
    "pad": ({"padding": 2}, (24, 34)),
    "grayscale": ({}, (20, 30)),
    "rgb": ({}, (20, 30)),
    "autocontrast": ({}, (20, 30)),
}


def picture(mode, height=20, width=30, seed=0):
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def build(name, **options):
    return registry.get("preprocessor", name).build(**options)


def test_every_preprocessor_is_tested_here():
    found = [registry.get("preprocessor", name) for name in registry.names("preprocessor")]
    assert sorted(CASES) == [item.name for item in found if "image-classification" in item.tasks]


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("name", CASES)
def test_grey_and_colour_pictures_come_out_at_the_documented_size(name, mode):
    options, (height, width) = CASES[name]
    image = picture(mode)
    before = image.tobytes()
    result = build(name, **options)(image)
    assert (result.height, result.width) == (height, width)
    assert result.mode == {"grayscale": "L", "rgb": "RGB"}.get(name, mode)
    assert image.tobytes() == before, "the picture that came in is left as it was"


def test_a_bare_size_is_a_square_and_two_numbers_are_height_and_width():
    assert build("resize", size=8)(picture("L")).size == (8, 8)
    assert build("resize", size=(8, 10))(picture("L")).size == (10, 8)  # Pillow's size is (width, height)


def test_area_averages_the_pixels_that_each_new_one_covers():
    image = picture("L", 8, 12)
    by_hand = np.asarray(image, float).reshape(4, 2, 6, 2).mean((1, 3))
    small = np.asarray(build("resize", size=[4, 6], interpolation="area")(image), float)
    assert np.abs(small - by_hand).max() <= 1  # rounded twice, after each axis


def test_nearest_repeats_pixels():
    image = picture("RGB", 4, 4)
    large = np.asarray(build("resize", size=8, interpolation="nearest")(image))
    assert (large == np.asarray(image).repeat(2, 0).repeat(2, 1)).all()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "area"])
def test_shrinking_is_antialiased(interpolation):
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (64, 32)))
    small = np.asarray(build("resize", size=16, interpolation=interpolation)(stripes))
    inside = small[2:-2, 2:-2].astype(int)
    assert np.abs(inside - 127.5).max() < 10, "stripes finer than the new pixels turn grey"


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_center_crop_cuts_the_middle(mode):
    image = picture(mode, 20, 31)
    cut = np.asarray(build("center_crop", size=[10, 16])(image))
    assert (cut == np.asarray(image)[5:15, 7:23]).all()


def test_center_crop_pads_a_smaller_picture_and_cuts_a_longer_side():
    image = picture("RGB", 4, 31)
    out = np.asarray(build("center_crop", size=[9, 11], fill=[10, 20, 30])(image))
    assert (out[2:6] == np.asarray(image)[:, 10:21]).all()
    assert (out[:2] == [10, 20, 30]).all()
    assert (out[6:] == [10, 20, 30]).all()


def test_letterbox_keeps_the_aspect_ratio_and_fills_the_rest_with_grey():
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    out = np.asarray(build("letterbox", size=20)(image))
    assert (out[5:15] == [255, 0, 0]).all()
    assert (out[:5] == 114).all()
    assert (out[15:] == 114).all()


def test_letterbox_of_a_strip_keeps_at_least_one_pixel():
    out = np.asarray(build("letterbox", size=8, fill=0)(Image.new("L", (1000, 1), 200)))
    assert (out == 200).any(axis=1).sum() == 1


@pytest.mark.parametrize(
    ("padding", "sides"),
    [(3, ((3, 3), (3, 3))), ([1, 2], ((2, 2), (1, 1))), ([1, 2, 3, 4], ((2, 4), (1, 3)))],
)
def test_pad_adds_a_border_as_numpy_does(padding, sides):
    image = picture("L", 5, 6)
    out = np.asarray(build("pad", padding=padding, fill=7)(image))
    assert (out == np.pad(np.asarray(image), sides, constant_values=7)).all()


def test_a_grey_fill_is_grey_on_a_colour_picture_and_a_colour_is_its_luma_on_a_grey_one():
    colour = np.asarray(build("pad", padding=1, fill=114)(picture("RGB")))
    assert (colour[0] == 114).all()
    grey = np.asarray(build("pad", padding=1, fill=[200, 100, 50])(picture("L")))
    assert abs(int(grey[0, 0]) - (0.299 * 200 + 0.587 * 100 + 0.114 * 50)) <= 1


def test_grayscale_is_the_luma_of_bt_601():
    image = picture("RGB")
    luma = np.asarray(image, float) @ [0.299, 0.587, 0.114]
    assert np.abs(np.asarray(build("grayscale")(image), float) - luma).max() <= 1


def test_rgb_repeats_a_grey_channel():
    image = picture("L")
    assert (np.asarray(build("rgb")(image)) == np.asarray(image)[:, :, None]).all()


def test_autocontrast_stretches_to_the_full_range():
    dim = Image.fromarray(np.linspace(50, 150, 101).astype(np.uint8)[None].repeat(3, 0))
    out = np.asarray(build("autocontrast")(dim)).astype(int)
    assert np.abs(out[0] - np.linspace(0, 255, 101)).max() <= 1
    assert set(np.unique(build("autocontrast", cutoff=20)(dim))) >= {0, 255}
    assert (np.asarray(build("autocontrast", cutoff=20)(dim))[0] == 0).sum() >= 20


def test_autocontrast_leaves_a_picture_of_one_level():
    assert set(np.asarray(build("autocontrast")(Image.new("L", (4, 4), 9))).ravel()) == {9}


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("resize", {"size": 0}, "resize: size is 0; it must be at least 1"),
        ("resize", {"size": [1, 2, 3]}, r"size is \[1, 2, 3\]; write one number for a square, or \[height, width\]"),
        ("center_crop", {"size": [4, -1]}, "center_crop: size is -1"),
        ("center_crop", {"size": 4, "fill": 256}, "fill is 256; it must be between 0 and 255"),
        ("letterbox", {"size": 4, "fill": [0, 1]}, r"fill is \[0, 1\]; write one grey level, or \[red, green, blue\]"),
        ("pad", {"padding": -1}, "pad: padding is -1; it must be at least 0"),
        ("pad", {"padding": [1, 2, 3]}, r"padding is \[1, 2, 3\]; write one number, two"),
        ("autocontrast", {"cutoff": 60}, "cutoff is 60; it must be between 0 and 49"),
    ],
)
def test_an_impossible_option_is_named_with_its_bounds(name, options, words):
    with pytest.raises(SpecError, match=words):
        build(name, **options)


def test_executors_need_no_torch_for_preprocessing():
    modules = ", ".join(f"sparknn_zoo.preprocess.{name}" for name in CASES)
    code = f"import sys, {modules}; print(sorted(sys.modules.keys() & {{'torch', 'pyspark', 'pandas', 'pydantic'}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
