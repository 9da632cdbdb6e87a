"""Preprocessors of pictures and of columns with one fault each, and the sentence that names it."""

import numpy as np
from PIL import Image

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import ColumnStep, preprocessor

WHOLE = {"source": "Nobody 2026", "licence": "Apache-2.0"}
COLUMNS = {"task": ("vector-classification", "vector-regression"), **WHOLE}


@preprocessor("broken_array", **WHOLE)
def array():
    """Picture -> its pixels."""
    return np.asarray


@preprocessor("broken_palette", **WHOLE)
def palette():
    """Picture -> a picture with a palette."""
    return lambda image: image.convert("P")


@preprocessor("broken_dice", **WHOLE)
def dice():
    """Picture -> the picture, shifted by a random number of pixels."""
    return lambda image: image.rotate(np.random.default_rng().uniform(1, 90))


@preprocessor("broken_in_place", **WHOLE)
def in_place():
    """Picture -> the picture itself, with a dot."""

    def apply(image):
        image.paste(0 if image.getpixel((0, 0)) else 255, (0, 0, 2, 2))
        return image

    return apply


@preprocessor("broken_refuses_all", **WHOLE)
def refuses_all():
    """Picture -> nothing."""

    def apply(image: Image.Image):
        raise SpecError("not this one.")

    return apply


@preprocessor("broken_crash", **WHOLE)
def crash():
    """Picture -> a crash for grey ones."""
    return lambda image: image if image.mode == "RGB" else image.nothing


@preprocessor("broken_boxless", task="object-detection", **WHOLE)
def boxless():
    """Picture -> a smaller one, and nobody knows where its boxes are."""
    return lambda image: image.resize((8, 8))


class Half:
    """Picture -> one of half the size, and a wrong word about it."""

    def __call__(self, image):
        return image.resize((image.width // 2, image.height // 2))

    def place(self, width, height):
        return 0.5, 0.5, 0.0, 0.0

    def size(self, width, height):
        return width, height


@preprocessor("broken_half", task="object-detection", **WHOLE)
def half():
    """Picture -> one of half the size."""
    return Half()


class Total(ColumnStep):
    """Divides by the sum of the rows that happen to be there."""

    def apply(self, xp, x, fitted):
        return x / xp.nansum(x)


class Narrow(ColumnStep):
    """Gives fewer columns."""

    def apply(self, xp, x, fitted):
        return x[:, :2]


class Twofold(ColumnStep):
    """Is not the same by torch."""

    def apply(self, xp, x, fitted):
        return x * (1.0 if xp is np else 2.0)


class Wrong(ColumnStep):
    """Has an aggregate that is no SQL."""

    aggregates = {"mean": "avg(x"}  # noqa: RUF012

    def apply(self, xp, x, fitted):
        return x - fitted["mean"]


class Other(ColumnStep):
    """Has an aggregate of a column that is not x."""

    aggregates = {"mean": "avg(price)"}  # noqa: RUF012

    def apply(self, xp, x, fitted):
        return x - fitted["mean"]


class NumpyOnly(ColumnStep):
    """Uses what torch has under another name."""

    def apply(self, xp, x, fitted):
        return xp.nan_to_num(x).astype("float64")


def step(name, kind):
    """Mark a step as a plugin."""

    def build():
        """Numbers -> numbers."""
        return kind()

    build.__qualname__ = name
    globals()[name] = preprocessor(f"broken_{name}", **COLUMNS)(build)
    return globals()[name]


FAULTS = [
    (array, "it turns a L picture of 32x32 into a ndarray, not a PIL.Image"),
    (palette, "of mode P; L and RGB are what may come out"),
    (dice, "it gives another result for the same picture"),
    (in_place, "it changes the picture that it is given"),
    (refuses_all, "it refuses every picture of 32x32, 28x41, 9x7, 70x64"),
    (crash, "it fails on a L picture of 32x32: AttributeError"),
    (boxless, "a picture of 32x32 becomes one of 8x8, and it has no `place` and `size`, by which true boxes follow"),
    (half, "a picture of 32x32 becomes one of 16x16, and its `size` says 32x32"),
    (step("total", Total), "a row's result depends on the rows beside it"),
    (step("narrow", Narrow), "it gives [9, 2] for [9, 4]: the shape stays"),
    (step("twofold", Twofold), "numpy and torch give different results"),
    (step("wrong", Wrong), "its aggregate 'mean' is no SQL: avg(x"),
    (step("other", Other), "its aggregate 'mean', avg(price), is to be one of the column x alone"),
    (step("numpy_only", NumpyOnly), "its apply fails with torch: AttributeError"),
]
