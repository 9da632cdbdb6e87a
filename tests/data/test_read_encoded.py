"""Encoded pictures of every format and mode; files that are damaged, hostile or no pictures at all."""

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from sparknn_magic.data.encoded import MAX_PIXELS, header
from sparknn_magic.data.worker import picture_header
from sparknn_magic.plugin import Part
from tests.data.pictures import COLOUR, GREY, RNG, encode, read, read_one, save


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "GIF"])
def test_lossless_formats_keep_every_grey_pixel(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(read_one(encode(GREY[0], kind, **options), channels=1), GREY[0])


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_lossless_formats_keep_every_colour_pixel(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(read_one(encode(COLOUR[0], kind, **options)), COLOUR[0])


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_of_every_mode_are_close_to_their_source(mode, progressive):
    colour = (200, 80, 40)
    image = Image.new("RGB", (7, 9), colour).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    got = read_one(save(image, "JPEG", quality=95, progressive=progressive))
    assert np.abs(got.astype(int) - expected).max() <= 4


def test_palettes_become_their_colours():
    image = Image.new("P", (7, 9), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    for kind in ("PNG", "GIF", "BMP"):
        assert read_one(save(image, kind))[4, 4].tolist() == [10, 200, 30]


def test_black_and_white_pictures_are_0_and_255():
    image = Image.fromarray(np.arange(63).reshape(9, 7) % 2 == 1)
    assert image.mode == "1"
    for kind in ("PNG", "BMP"):
        got = read_one(save(image, kind), channels=1)
        np.testing.assert_array_equal(got[..., 0], np.arange(63).reshape(9, 7) % 2 * 255)


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("RGBA", (100, 0, 200, 0), [255, 255, 255]),
        ("RGBA", (100, 0, 200, 255), [100, 0, 200]),
        ("RGBA", (100, 0, 200, 51), [224, 204, 244]),  # 0.2 of the colour, 0.8 of white
        ("LA", (100, 51), [224, 224, 224]),
    ],
)
def test_alpha_is_laid_on_white(mode, pixel, expected):
    for kind in ("PNG", "WEBP"):
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        assert read_one(save(Image.new(mode, (7, 9), pixel), kind, **options))[3, 3].tolist() == expected


def test_transparent_palette_entries_and_colours_are_white():
    palette = Image.new("P", (7, 9), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    assert read_one(save(palette, "GIF", transparency=1))[0, 0].tolist() == [255, 255, 255]
    assert read_one(save(palette, "PNG", transparency=1))[0, 0].tolist() == [255, 255, 255]
    grey = save(Image.new("L", (7, 9), 40), "PNG", transparency=40)
    assert read_one(grey, channels=1)[0, 0].tolist() == [255]
    colour = save(Image.new("RGB", (7, 9), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert read_one(colour)[0, 0].tolist() == [255, 255, 255]


def test_sixteen_bit_grey_is_scaled_not_clipped():
    wide = np.linspace(0, 65535, 63).reshape(9, 7).astype(np.uint16)
    got = read_one(save(Image.fromarray(wide)), channels=1)[..., 0]
    np.testing.assert_array_equal(got, np.rint(wide / 257).astype(np.uint8))


def test_the_first_frame_of_an_animation_is_read():
    frames = [Image.new("RGB", (7, 9), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = save(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, **options)
        assert read_one(data)[4, 4].tolist() == [255, 0, 0]


# EXIF 2.32, table of tag 0x0112: where row 0 and column 0 of the file stand when the picture is upright.
UPRIGHT = {
    1: lambda p: p,  # top, left
    2: lambda p: p[:, ::-1],  # top, right
    3: lambda p: p[::-1, ::-1],  # bottom, right
    4: lambda p: p[::-1],  # bottom, left
    5: lambda p: p.transpose(1, 0, 2),  # left, top
    6: lambda p: p[::-1].transpose(1, 0, 2),  # right, top
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
    8: lambda p: p[:, ::-1].transpose(1, 0, 2),  # left, bottom
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_are_turned_as_exif_says(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.kron(RNG.integers(0, 256, (2, 3, 1), np.uint8), np.ones((8, 8, 1), np.uint8))
    options = {"JPEG": {"quality": 100}, "PNG": {}, "WEBP": {"lossless": True}}[kind]
    expected = UPRIGHT[orientation](pixels)
    data = encode(pixels, kind, exif=exif, **options)
    got = read_one(data, channels=1, size=expected.shape[:2])
    assert np.abs(got.astype(int) - expected).max() <= 3
    if kind == "PNG":  # behind the pixels, where it may stand too
        start, end = data.index(b"eXIf") - 4, data.index(b"IDAT") - 4
        late = data[:start] + data[end:-12] + data[start:end] + data[-12:]
        assert header(late)[:2] == expected.shape[:2]
    assert header(data)[:2] == expected.shape[:2]


def test_damaged_exif_does_not_cost_the_picture():
    data = encode(COLOUR[0], "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert read([data]).errors == [None]


# Bad rows.


def bomb(side: int) -> bytes:
    """A PNG of side x side equal pixels: one bit each, so a few KB for hundreds of megapixels."""
    return save(Image.new("1", (side, side)), "PNG", compress_level=9)


BAD = {
    "null": (None, "null"),
    "empty": (b"", "empty"),
    "text": (b"I am no picture, sorry", "not an image (JPEG, PNG, WebP, BMP or GIF)"),
    "half a JPEG": (encode(COLOUR[0], "JPEG")[:-60], "truncated JPEG image"),
    "half a PNG": (encode(COLOUR[0])[:120], "truncated PNG image"),
    "half a WebP": (encode(COLOUR[0], "WEBP")[:-30], "damaged image"),
    "half a BMP": (encode(COLOUR[0], "BMP")[:-30], "truncated BMP image"),
    "half a GIF": (encode(GREY[0], "GIF")[:-20], "truncated GIF image"),
    "half a PNG header": (encode(COLOUR[0])[:20], "damaged image"),
    "TIFF": (encode(COLOUR[0], "TIFF"), "TIFF is not supported: JPEG, PNG, WebP, BMP and GIF are"),
    "AVIF": (b"\0\0\0\x1cftypavif" + bytes(40), "AVIF is not supported: JPEG, PNG, WebP, BMP and GIF are"),
    "HEIC": (b"\0\0\0\x1cftypheic" + bytes(40), "HEIC is not supported: JPEG, PNG, WebP, BMP and GIF are"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_says_why_and_costs_no_other_row(name):
    value, reason = BAD[name]
    good = [encode(x) for x in COLOUR]
    pictures = read([good[0], value, good[1], value])
    assert pictures.errors == [None, reason, None, reason]
    assert pictures.rows.tolist() == [0, 2]
    np.testing.assert_array_equal(pictures.pixels, COLOUR[:2])


@pytest.mark.parametrize("side", [8001, 13000, 20000])
def test_a_decompression_bomb_is_refused_by_its_header(side, monkeypatch):
    data = bomb(side)
    assert len(data) < 60_000

    def decoded(self, *args):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    reason = f"larger than {MAX_PIXELS // 1_000_000} megapixels"
    assert read([data, None]).errors == [reason, "null"]
    assert picture_header(pa.array([data])).to_pylist()[0]["error"] == reason


def test_a_picture_at_the_limit_is_read():
    data = bomb(8000)
    steps = [Part("sparknn_zoo.preprocess.resize:resize", {"size": (9, 7), "interpolation": "nearest"})]
    assert read([data], steps=steps, channels=1).errors == [None]


@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_no_cut_file_is_half_decoded_in_silence(kind):
    name, options = kind.split()[-1], {"progressive": True} if " " in kind else {}
    pixels = RNG.integers(0, 256, (24, 20, 3), np.uint8)
    whole = save(Image.fromarray(pixels).quantize(64), "GIF") if name == "GIF" else encode(pixels, name, **options)
    expected = read_one(whole, size=(24, 20))
    cuts = [whole[:end] for end in range(1, len(whole), 7)]
    pictures = read(cuts, size=(24, 20))
    for got in pictures.pixels:  # only what stands behind the pixels may be missing
        np.testing.assert_array_equal(got, expected)
    lost = [len(cuts[i]) for i in pictures.rows]
    assert all(length > len(whole) - 21 for length in lost), (len(whole), lost)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_damaged_bytes_are_never_more_than_an_error_of_their_row(kind):
    rng = np.random.default_rng(3)
    image = Image.fromarray(rng.integers(0, 256, (24, 20, 3), np.uint8))
    whole = np.frombuffer(save(image.quantize(64) if kind == "GIF" else image, kind), np.uint8)
    values = []
    for _ in range(400):
        damaged = whole.copy()
        where = rng.integers(0, len(whole) if rng.random() < 0.5 else min(80, len(whole)), rng.integers(1, 6))
        damaged[where] = rng.integers(0, 256, len(where))
        values.append(damaged.tobytes())
    pictures = read(values, size=(24, 20))
    assert len(pictures.pixels) == len(pictures.rows) == pictures.errors.count(None)
    headers = picture_header(pa.array(values, pa.binary())).to_pylist()
    assert len(headers) == 400
