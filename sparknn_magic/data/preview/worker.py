"""Pictures and texts, each with what a preview wants to know of it. Runs on executors: numpy, pyarrow, pillow."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from PIL import Image
from tokenizers import normalizers

from sparknn_magic.data.encoded import UnreadableError, format_of
from sparknn_magic.data.text.tokenizing import EMPTY, MOST_CHARACTERS, strings
from sparknn_magic.data.worker import each_picture, image_kind, picture_header, stepped
from sparknn_magic.errors import SparkNNError
from sparknn_magic.plugin import Part

PICTURES = (
    "split int, label string, key long, bytes long, height int, width int, format string, after string, "
    "hash long, down long, error string"
)
TEXTS = "split int, label string, key long, folded long, characters int, words int, scripts array<string>, error string"
SIDES = ("hash", "down", "key", "train")
PAIRS = ", ".join(f"{side}_{name} long" for side in "ab" for name in SIDES) + ", bits long"
BITS = 3  # in which the hashes of like pictures may differ
CROWD = 400  # hashes that share a run: those of a run that more share are not compared
ONES = np.array([n.bit_count() for n in range(256)], np.uint8)
MICRO_ROWS = 256
COLOURS = {"L": "grey", "RGB": "colour"}

# Letters of the scripts that most texts are written in, after Unicode's blocks.
SCRIPTS = {
    "Latin": "A-Za-z\u00c0-\u024f\u1e00-\u1eff",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Cyrillic": "\u0400-\u052f",
    "Armenian": "\u0530-\u058f",
    "Georgian": "\u10a0-\u10ff\u1c90-\u1cbf",
    "Hebrew": "\u0590-\u05ff",
    "Arabic": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "Ethiopic": "\u1200-\u137f",
    "Devanagari": "\u0900-\u097f",
    "Bengali": "\u0980-\u09ff",
    "Gurmukhi": "\u0a00-\u0a7f",
    "Gujarati": "\u0a80-\u0aff",
    "Tamil": "\u0b80-\u0bff",
    "Telugu": "\u0c00-\u0c7f",
    "Kannada": "\u0c80-\u0cff",
    "Malayalam": "\u0d00-\u0d7f",
    "Sinhala": "\u0d80-\u0dff",
    "Thai": "\u0e00-\u0e7f",
    "Lao": "\u0e80-\u0eff",
    "Myanmar": "\u1000-\u109f",
    "Khmer": "\u1780-\u17ff",
    "Hiragana": "\u3041-\u309f",
    "Katakana": "\u30a1-\u30ff\uff66-\uff9d",
    "Hangul": "\u1100-\u11ff\uac00-\ud7af",
    "Han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f",
}
_SCRIPTS = {name: re.compile(f"[{letters}]") for name, letters in SCRIPTS.items()}
_NOT_WORDS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class PictureJob:
    """How pictures are looked at."""

    steps: tuple[Part, ...]  # preprocessors of one PIL.Image
    shape: tuple[int, ...] | None  # of raw pixels; None where pictures carry their own


def look_at_pictures(batches: Iterator[pa.RecordBatch], job: PictureJob) -> Iterator[pa.RecordBatch]:
    """Turn (split int, label string, key long, bytes long, image) into rows of `PICTURES`.

    Each picture is decoded and passed through the steps by what prepares rows for training. `after` is its size and
    colour behind the steps, `hash` and `down` are its difference hashes before them, across and down.
    """
    built = [(part.ref.rpartition(":")[2], part.build()) for part in job.steps]

    def look(position: int, picture: Image.Image) -> tuple[tuple[int, int] | None, str]:
        found = stepped(picture, built)
        return difference_hashes(picture), f"{found.width} x {found.height}, {COLOURS.get(found.mode, found.mode)}"

    for whole in batches:
        for start in range(0, whole.num_rows, MICRO_ROWS):
            batch = whole.slice(start, MICRO_ROWS)
            images = batch.column("image")
            header = picture_header(images, job.shape)
            found, errors = each_picture(images, look, job.shape)
            columns = {name: batch.column(name) for name in ("split", "label", "key", "bytes")}
            columns |= {name: header.field(name) for name in ("height", "width")}
            columns["format"] = pa.array(_formats(images, header, job.shape), pa.string())
            columns["after"] = pa.array([None if each is None else each[1] for each in found], pa.string())
            hashes = [None if each is None else each[0] for each in found]
            for n, name in enumerate(("hash", "down")):
                columns[name] = pa.array([None if each is None else each[n] for each in hashes], pa.int64())
            columns["error"] = pa.array(errors, pa.string())
            yield pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _formats(images: pa.Array, header: pa.StructArray, shape: tuple[int, ...] | None) -> list[str | None]:
    """Return of each picture its format and mode, from its header: 'JPEG RGB'; of pixels, whether they are grey."""
    if pa.types.is_null(images.type):
        return [None] * len(images)
    if image_kind(images.type, shape) != "encoded":
        colours = {None: None, 1: "pixels, grey", 3: "pixels, colour"}
        return [colours[channels] for channels in header.field("channels").to_pylist()]
    return [_format(images[i]) for i in range(len(images))]


def _format(image: pa.Scalar) -> str | None:
    try:
        return format_of(memoryview(image.as_buffer())) if image.is_valid else None
    except UnreadableError:  # which its error tells
        return None


def difference_hashes(picture: Image.Image) -> tuple[int, int] | None:
    """Return two numbers of 64 bits that pictures which look alike share, or nearly so; None for one of a single shade.

    Grey and 9 x 8 pixels small, a bit tells whether a pixel is brighter than the one to its left; and in the second
    hash, 8 x 9 pixels small, than the one above it.
    Source: Krawetz 2013, Kind of Like That, hackerfactor.com (dHash).
    """
    grey = picture.convert("L")
    across, down = (np.asarray(grey.resize(size, Image.Resampling.BOX), np.int16) for size in ((9, 8), (8, 9)))
    found = [across[:, 1:] > across[:, :-1], down[1:] > down[:-1]]
    if not any(bits.any() for bits in found):
        return None
    first, second = (int(np.packbits(bits).view(">i8")[0]) for bits in found)
    return first, second


def like_pairs(table: pa.Table) -> pa.Table:
    """Turn rows of place (a run of bits of the hash, and where it stands), hash, down, key and train into `PAIRS`.

    Compared are hashes of one place, each with each. Two are like that differ in at most `BITS` bits across and down;
    a is the lesser one.
    """
    place, *columns = (table.column(name).to_numpy() for name in ("place", *SIDES))
    across, down = columns[:2]
    order = np.argsort(place, kind="stable")
    pairs = [np.empty((0, 2), np.int64)]
    for rows in np.split(order, np.flatnonzero(np.diff(place[order])) + 1):
        if 2 <= len(rows) <= CROWD:
            some = across[rows]
            pairs.append(rows[np.argwhere(np.triu(_ones(some[:, None] ^ some) <= BITS, 1))])
    a, b = np.concatenate(pairs).T
    bits = _ones(down[a] ^ down[b])
    like = bits <= BITS
    a, b, bits = a[like], b[like], bits[like] + _ones(across[a[like]] ^ across[b[like]])
    later = (across[a] > across[b]) | ((across[a] == across[b]) & (down[a] > down[b]))
    a, b = np.where(later, b, a), np.where(later, a, b)
    found = [column[at] for at in (a, b) for column in columns]
    return pa.table(
        [*found, bits.astype(np.int64)], names=[f"{side}_{name}" for side in "ab" for name in SIDES] + ["bits"]
    )


def _ones(x: np.ndarray) -> np.ndarray:
    """Return how many bits of each int64 are set, uint8 of the same shape."""
    return ONES[np.ascontiguousarray(x).view(np.uint8)].reshape(*x.shape, 8).sum(-1, dtype=np.uint8)


def look_at_texts(batches: Iterator[pa.RecordBatch], steps: tuple[Part, ...]) -> Iterator[pa.RecordBatch]:
    """Turn (split int, label string, key long, text string, pair string) into rows of `TEXTS`.

    A text that is null, not UTF-8, or without a character that is seen behind the steps has its reason in `error`.
    """
    built = [part.build() for part in steps]
    for whole in batches:
        for start in range(0, whole.num_rows, MICRO_ROWS):
            batch = whole.slice(start, MICRO_ROWS)
            errors: list[str | None] = [None] * batch.num_rows
            texts = strings(batch.column("text"), errors)
            pairs = strings(batch.column("pair"), [None] * batch.num_rows)
            for row, text in enumerate(texts):
                errors[row] = errors[row] or _unusable(built, text + pairs[row])
            both = [f"{text}\n{pair}" if pair else text for text, pair in zip(texts, pairs, strict=True)]
            good = [error is None for error in errors]
            columns = {name: batch.column(name) for name in ("split", "label", "key")}
            columns["folded"] = pa.array(
                [folded(t) if g else None for t, g in zip(both, good, strict=True)], pa.int64()
            )
            columns["characters"] = pa.array([len(text) for text in both], pa.int32())
            columns["words"] = pa.array([len(text.split()) for text in both], pa.int32())
            columns["scripts"] = pa.array([scripts_of(text) for text in both], pa.list_(pa.string()))
            columns["error"] = pa.array(errors, pa.string())
            yield pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _unusable(steps: list[object], text: str) -> str | None:
    try:
        return None if applied(steps, text).strip() else EMPTY
    except (ValueError, ArithmeticError, LookupError, SparkNNError) as error:
        return str(error)


def applied(steps: list[object], text: str) -> str:
    """Return a text behind the preprocessors: Normalizers of the tokenizers library, and functions of a text."""
    text = text[:MOST_CHARACTERS]
    for step in steps:
        text = step.normalize_str(text) if isinstance(step, normalizers.Normalizer) else step(text)  # type: ignore[operator]
    return text


def folded(text: str) -> int:
    """Return a hash that texts share which differ in case, width, spaces and punctuation alone."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = _NOT_WORDS.sub(" ", plain).strip() or plain.strip()  # one of punctuation alone is what it is
    digest = hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def scripts_of(text: str) -> list[str]:
    """Return the scripts that a text has letters of."""
    return [name for name, letters in _SCRIPTS.items() if letters.search(text)]
