"""Encoded pictures (JPEG, PNG, WebP, BMP, GIF) -> `PIL.Image`, with every way a file can be bad as one short reason.

Runs on executors: standard library, numpy and pillow.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 64_000_000  # of one encoded picture: a larger one is refused by its header, before it is decoded
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")

# What Pillow's decoders raise on damaged files.
DAMAGED = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_PNG_TURNED = (b"eXIf", b"Raw profile type exif", b"tiff:Orientation")  # where Pillow finds an orientation
_TOO_LARGE = f"larger than {MAX_PIXELS // 1_000_000} megapixels"
_ORIENTATIONS = {  # EXIF 2.32, tag 0x0112
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FOREIGN = {b"II*\0": "TIFF", b"MM\0*": "TIFF", b"%PDF": "PDF", b"<svg": "SVG", b"\0\0\x01\0": "ICO", b"8BPS": "PSD"}


class UnreadableError(Exception):
    """Why a row is no picture, in the words that the user reads in `error`."""


def decode(data: bytes | memoryview) -> Image.Image:
    """Return an encoded picture as a `PIL.Image` of mode L or RGB.

    The first frame of an animation; turned as its EXIF orientation says; 16-bit grey scaled to 8 bits; alpha and
    transparent colours laid on white; CMYK and palettes as RGB.

    Raises: UnreadableError with a short reason. A picture of more than `MAX_PIXELS` is refused before it is decoded.
    """
    image = _open(data)
    try:
        image.load()
        turn = _ORIENTATIONS.get(_orientation(image))
        return plain(image if turn is None else image.transpose(turn))
    except (*DAMAGED, Image.DecompressionBombError) as error:
        what = "truncated" if isinstance(error, EOFError) or "truncated" in str(error) else "damaged"
        raise UnreadableError(f"{what} {image.format} image") from error


def plain(image: Image.Image) -> Image.Image:
    """Return the same picture in mode L or RGB, 8 bits a channel, alpha laid on white."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):  # 16-bit grey: `convert` would clip it
        wide = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.convert("L" if image.mode == "1" else "RGB")


def header(data: bytes | memoryview) -> tuple[int, int, int]:
    """Return (height, width, channels) of the upright picture without decoding it: 1 channel for grey, else 3.

    Only a PNG that tells how it is turned may be decoded. Raises: UnreadableError. What is behind the header may still
    be damaged.
    """
    image = _open(data)
    height, width = image.height, image.width
    # A PNG's orientation may stand behind its pixels, which Pillow decodes to get there: only where there may be one.
    whole = bytes(data)
    turned = image.format != "PNG" or any(mark in whole for mark in _PNG_TURNED)
    if turned and _orientation(image) >= 5:
        height, width = width, height
    return height, width, 1 if image.mode in ("1", "L") or image.mode.startswith("I") else 3


def format_of(data: bytes | memoryview) -> str:
    """Return an encoded picture's format and mode by its header: 'JPEG RGB', 'PNG P'. Raises: UnreadableError."""
    image = _open(data)
    return f"{image.format} {image.mode}"


@contextmanager
def without_remarks() -> Iterator[None]:
    """Silence Pillow's warnings about odd files: what matters of them becomes a reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _open(data: bytes | memoryview) -> Image.Image:
    """Return the picture with its header read and nothing decoded."""
    if not data:
        raise UnreadableError("empty")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableError(_TOO_LARGE) from error
    except UnidentifiedImageError as error:
        raise UnreadableError(_unknown(bytes(data[:16]))) from error
    except DAMAGED as error:
        raise UnreadableError("damaged image") from error
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableError(_TOO_LARGE)
    if image.width < 1 or image.height < 1:
        raise UnreadableError("damaged image")
    return image


def _unknown(start: bytes) -> str:
    name = _FOREIGN.get(start[:4])
    if start[4:8] == b"ftyp":
        name = "AVIF" if start[8:12] in (b"avif", b"avis") else "HEIC"
    if name:
        return f"{name} is not supported: JPEG, PNG, WebP, BMP and GIF are"
    return "not an image (JPEG, PNG, WebP, BMP or GIF)"


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except DAMAGED:  # a damaged EXIF block says nothing, and the pixels are still good
        return 1
