"""Pictures of many things, composed of pictures of one thing each, with true boxes. On executors: numpy and pillow.

Everything random of a scene is drawn by a generator of its own, seeded by the set's seed and the scene's number: the
same scenes on every cluster, whatever the partitions. H, W are a scene's height and width in pixels.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from sparknn_magic.data.encoded import DAMAGED
from sparknn_magic.errors import DataError

SCENES = "id bigint, image binary, boxes array<array<float>>, labels array<string>"
DRAWN = "id bigint, slot int, item int"
FEWEST, MOST = 4, 12  # items of a scene
SIDES = (288, 352)  # pixels of a scene's side, from and to
LENGTHS = (44, 112)  # pixels of an item's longer side
TRIES = 60  # places that are tried for an item
EDGE = 24  # of 255: a fainter pixel of an item's picture is background
QUALITY = 90  # of JPEG
GREYS_256 = np.arange(256)  # all values of a pixel
_ITEMS, _SCENE = 0, 1  # what a generator is for


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How items stand."""

    tilt: float  # degrees to either side, at most
    hidden: float  # of an item's pixels that others may hide


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene."""

    pixels: np.ndarray  # uint8[H, W, 3]
    boxes: np.ndarray  # float32[n, 4] x1, y1, x2, y2 around each item's pixels, hidden ones too
    items: list[int]  # the number of each item among those that were offered; one without a place is not there
    owner: np.ndarray  # int16[H, W]: which of the n items is seen there; -1: none


def draw_items(ids: Sequence[int], count: int, seed: int) -> Iterator[tuple[int, int, int]]:
    """Yield (scene, slot, item) for each item that is to stand in each scene: 4 to 12 of `count` items."""
    for scene in ids:
        draw = np.random.default_rng([seed, scene, _ITEMS])
        for slot, item in enumerate(draw.integers(0, count, draw.integers(FEWEST, MOST + 1)).tolist()):
            yield scene, slot, item


def drawn_batches(batches: Iterator[pa.RecordBatch], count: int, seed: int) -> Iterator[pa.RecordBatch]:
    """Turn rows with an id into rows of `DRAWN`."""
    kinds = [pa.int64(), pa.int32(), pa.int32()]
    for batch in batches:
        drawn = list(draw_items(batch.column("id").to_pylist(), count, seed))
        arrays = [pa.array([each[i] for each in drawn], kind) for i, kind in enumerate(kinds)]
        yield pa.RecordBatch.from_arrays(arrays, names=["id", "slot", "item"])


def composed_batches(batches: Iterator[pa.RecordBatch], seed: int, stand: Arrangement) -> Iterator[pa.RecordBatch]:
    """Turn (id bigint, items array<struct<slot, image, label>>) into rows of `SCENES`."""
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("image", pa.binary()),
            ("boxes", pa.list_(pa.list_(pa.float32()))),
            ("labels", pa.list_(pa.string())),
        ]
    )
    for batch in batches:
        for row in batch.to_pylist():  # one at a time: a scene is some ten times as large as its row
            items = sorted(row["items"], key=lambda each: each["slot"])
            greys = [_grey(each["image"], each["label"]) for each in items]
            scene = compose(greys, np.random.default_rng([seed, row["id"], _SCENE]), stand)
            labels = [items[i]["label"] for i in scene.items]
            values = [[row["id"]], [encoded(scene.pixels)], [scene.boxes.tolist()], [labels]]
            arrays = [pa.array(value, field.type) for value, field in zip(values, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _grey(image: bytes | None, label: str | None) -> np.ndarray:
    try:
        return np.asarray(Image.open(io.BytesIO(image or b"")).convert("L"))
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise DataError(f"shelf_scenes: a product of '{label}' is no picture that can be decoded.") from error


def encoded(pixels: np.ndarray) -> bytes:
    """Return uint8[H, W, 3] as JPEG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def compose(items: Sequence[np.ndarray], draw: np.random.Generator, stand: Arrangement) -> Scene:
    """Return a scene of items: bright things on black, uint8[h, w] each.

    They are scaled, tilted, mirrored and coloured, and laid one over the other where of none too much is hidden; one
    for which no such place is found is not there.
    """
    width, height = draw.integers(SIDES[0], SIDES[1] + 1, 2).tolist()
    pixels = background(width, height, draw)
    owner = np.full((height, width), -1, np.int16)
    sizes: list[int] = []  # pixels of each item, hidden ones too
    boxes: list[tuple[int, int, int, int]] = []
    placed: list[int] = []
    for number, item in enumerate(items):
        grey = _turned(item, draw, stand.tilt)
        mask = grey >= EDGE
        if not mask.any():
            continue
        grey, mask = _tight(grey, mask)
        corner = _place(mask, owner, (1 - stand.hidden) * np.array(sizes), draw)
        if corner is None:
            continue
        left, top = corner
        there = np.s_[top : top + mask.shape[0], left : left + mask.shape[1]]
        _paint(pixels[there], grey, mask, draw)
        owner[there][mask] = len(placed)
        sizes.append(int(mask.sum()))
        boxes.append((left, top, left + mask.shape[1], top + mask.shape[0]))
        placed.append(number)
    return Scene(pixels, np.array(boxes, np.float32).reshape(-1, 4), placed, owner)


def _turned(item: np.ndarray, draw: np.random.Generator, tilt: float) -> np.ndarray:
    """Return the item as it stands in a scene: uint8 of some other size."""
    image = Image.fromarray(item)
    if draw.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = draw.uniform(*LENGTHS) / max(item.shape)
    size = [max(1, round(side * scale)) for side in image.size]
    image = image.resize((size[0], size[1]), Image.Resampling.BICUBIC)
    return np.asarray(image.rotate(draw.uniform(-tilt, tilt), Image.Resampling.BILINEAR, expand=True))


def _tight(grey: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    inner = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return grey[inner], mask[inner]


def _place(mask: np.ndarray, owner: np.ndarray, least: np.ndarray, draw: np.random.Generator) -> tuple[int, int] | None:
    """Return (left, top) where every other item keeps its `least` seen pixels; None where no such place is found."""
    (height, width), (rows, columns) = owner.shape, mask.shape
    if rows > height or columns > width:
        return None
    seen = np.bincount(owner[owner >= 0], minlength=len(least))
    for _ in range(TRIES):
        left, top = (int(draw.integers(0, room + 1)) for room in (width - columns, height - rows))
        under = owner[top : top + rows, left : left + columns][mask]
        if np.all(seen - np.bincount(under[under >= 0], minlength=len(least)) >= least):
            return left, top
    return None


def _paint(pixels: np.ndarray, grey: np.ndarray, mask: np.ndarray, draw: np.random.Generator) -> None:
    """Lay a coloured item over uint8[h, w, 3], in place."""
    colour = draw.uniform(0.35, 1.0, 3)
    painted_256C = ((0.2 + 0.8 * GREYS_256[:, None] / 255) * colour * 255).astype(np.uint8)
    for channel in range(3):  # one after the other, as numpy is faster so
        np.copyto(pixels[..., channel], painted_256C[:, channel].take(grey), where=mask)


def background(width: int, height: int, draw: np.random.Generator) -> np.ndarray:
    """Return uint8[H, W, 3]: a plain, shaded, striped or boarded wall, with noise."""
    kind = draw.integers(0, 4)
    first, second = draw.uniform(20, 235, (2, 3))
    share = np.linspace(0, 1, height)[:, None, None] if kind != 1 else np.linspace(0, 1, width)[None, :, None]
    if kind == 0:
        second = first + draw.uniform(-12, 12, 3)
    line = (first + (second - first) * share).clip(0, 255).astype(np.uint8)  # of pixels: the others are the same
    image = Image.fromarray(np.broadcast_to(line, (height, width, 3)))
    if kind >= 2:
        _boards(image, draw, upright=kind == 3)
    noise = draw.normal(0, draw.uniform(0, 9), (height, width, 1))
    noisy = np.asarray(image) + noise
    return noisy.clip(0, 255, out=noisy).astype(np.uint8)


def _boards(image: Image.Image, draw: np.random.Generator, *, upright: bool) -> None:
    """Draw the boards of a shelf, or stripes from top to bottom, in place."""
    pen = ImageDraw.Draw(image)
    colour = tuple(draw.integers(20, 236, 3).tolist())
    step, thick = int(draw.integers(24, 110)), int(draw.integers(3, 14))
    side = image.width if upright else image.height
    for start in range(int(draw.integers(0, step)), side, step):
        end = start + thick - 1
        pen.rectangle((start, 0, end, image.height) if upright else (0, start, image.width, end), fill=colour)
