"""`explain`: the most confident mistakes of a model, and what in the picture or the text its answer hangs on.

Parts are hidden one after the other, and the exported file is asked again: how much lower is the score of its answer
then? So what is explained is the very file that SQL runs, whatever network is in it. Source: Zeiler and Fergus 2014,
Visualizing and Understanding Convolutional Networks, sec. 4.2, arXiv:1311.2901; by captum's Occlusion and
FeatureAblation. A detected box is found again by class and place, as in Petsiuk et al. 2021, Black-box Explanation of
Object Detectors via Saliency Maps, arXiv:2006.03204.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparknn_magic.errors import MissingExtra, SpecError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from sparknn_magic.infer.job import InferJob
    from sparknn_magic.model import Model
    from sparknn_magic.show.examples import Examples

WINDOW, STEPS = 4, 12  # a hidden square is a fourth of a side, and moves by a twelfth
AROUND = 1.0  # of a box's sides, on each side of it: the part of the picture in which is hidden
SAME = 0.5  # intersection over union from which on a box is the one that is asked for
AT_ONCE = 64  # texts, or small pictures, in one call of the network
PIXELS = 2**22  # of the pictures in one call: a network's maps of a pixel take some hundred bytes, at times a thousand
MOST_WORDS = 200  # of a text are hidden in turn
# A word, a sign, or one letter of a script that sets no spaces between words.
UNSPACED = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"  # Thai, Lao, kana, Han
WORDS = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s{UNSPACED}]")

Span = tuple[int, int, float]  # first character, the one behind the last, by how much the score falls without it


def explain(
    model: "Model", data: Any = None, *, count: int | str = 6, variables: Mapping[str, Any] | None = None
) -> "Examples":
    """Return the most confident mistakes on labelled rows, with the weight of each part of the input.

    `data` is what `Model.predict` takes; without it, the model's own test rows. Where there are fewer than `count`
    mistakes the most confident right answers follow. In a notebook it shows itself; `print` gives text.

    Raises: SpecError for a task that has no such answers, or where the test rows are not known here; MissingExtra.
    """
    from importlib.util import find_spec

    if not re.fullmatch(r"0*[1-9]\d{0,2}", str(count)):
        raise SpecError(f"explain: '{count}' is no number of rows.", hint="Write a whole number from 1 to 999.")
    if find_spec("captum") is None:
        raise MissingExtra("explain needs captum: pip install 'sparknn-magic[train]'")
    scored, meta = model.scored(data, variables=variables)
    found = model.task.explained(scored, meta, model.folder, int(count))
    if found is None:
        message = f"{model.name}: explain knows classes of pictures and texts, and boxes, not {model.meta['task']}."
        raise SpecError(message, hint="`%sparknn show NAME --examples 9` shows rows of any task.")
    return found


def picture_weights(session: "InferenceSession", pixels: np.ndarray, target: int) -> np.ndarray:
    """Return float32[H, W]: by how much the score of class `target` falls where the picture is hidden there.

    `session` has a model.onnx of pictures, `pixels` is uint8[H, W, C] as the network takes it. What is hidden has the
    picture's mean colour.
    """

    def scores(images: np.ndarray) -> np.ndarray:
        return session.run(["probabilities"], {"image": images})[0][:, target]

    return _hidden(scores, pixels, pictures_at_once(pixels))


def box_weights(
    ask: Callable[[np.ndarray], Sequence[np.ndarray]], pixels: np.ndarray, label: int, box: np.ndarray
) -> np.ndarray:
    """Return float32[H, W]: by how much the score of a box of class `label` falls where the picture is hidden there.

    `ask` gives boxes float32[B, M, 4], scores float32[B, M], labels int64[B, M] and count int64[B] for pictures
    uint8[B, H, W, C]. `pixels` is uint8[H, W, C], `box` float[4] x1, y1, x2, y2 in these pixels. Its score is the
    highest of the boxes of this class that overlap it by half, 0 without any.
    Only what is `around` it is hidden; the weights of all else are 0.
    """
    part = around(box, *pixels.shape[:2])

    def scores(parts: np.ndarray) -> np.ndarray:
        images = np.repeat(pixels[None], len(parts), axis=0)
        images[:, *part] = parts
        boxes, found, labels, counts = ask(images)
        there = np.arange(found.shape[1]) < counts[:, None]
        same = there & (labels == label) & (_overlaps(boxes, box) >= SAME)
        return np.where(same, found, 0).max(1, initial=0).astype(np.float32)

    weights = np.zeros(pixels.shape[:2], np.float32)
    weights[part] = _hidden(scores, pixels[part], pictures_at_once(pixels))
    return weights


def pictures_at_once(pixels: np.ndarray) -> int:
    """Return how many pictures of this size, uint8[H, W, C], go to the network in one call."""
    height, width, _ = pixels.shape
    return min(AT_ONCE, max(1, PIXELS // (height * width)))


def around(box: np.ndarray, height: int, width: int) -> tuple[slice, slice]:
    """Return rows and columns of a box, float[4] x1, y1, x2, y2, with as much again on each side, in a picture."""
    x1, y1, x2, y2 = box
    x, y = AROUND * (x2 - x1), AROUND * (y2 - y1)
    left, top = max(0, int(x1 - x)), max(0, int(y1 - y))
    return slice(top, max(top + 1, min(height, int(y2 + y + 1)))), slice(
        left, max(left + 1, min(width, int(x2 + x + 1)))
    )


def _overlaps(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the intersection over union of boxes float[..., 4] with one, float[...]."""
    low, high = np.maximum(boxes[..., :2], box[:2]), np.minimum(boxes[..., 2:], box[2:])
    common = np.clip(high - low, 0, None).prod(-1)
    union = (boxes[..., 2:] - boxes[..., :2]).clip(0).prod(-1) + (box[2:] - box[:2]).prod() - common
    return common / np.maximum(union, 1e-9)


def _hidden(scores: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, at_once: int) -> np.ndarray:
    """Return float32[H, W]: by how much the score falls where these pixels, uint8[H, W, C], are hidden.

    `scores` gives float32[B] for uint8[B, H, W, C], B at most `at_once`.
    """
    import torch
    from captum.attr import Occlusion

    def forward(x_BHWC: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(scores(x_BHWC.round().clamp(0, 255).to(torch.uint8).numpy()))

    height, width, channels = pixels.shape
    x_1HWC = torch.from_numpy(pixels.astype(np.float32))[None]
    window = (max(1, height // WINDOW), max(1, width // WINDOW), channels)
    strides = (max(1, height // STEPS), max(1, width // STEPS), channels)
    grey = x_1HWC.mean((1, 2), keepdim=True).expand_as(x_1HWC)
    found = Occlusion(forward).attribute(
        x_1HWC, window, strides=strides, baselines=grey, perturbations_per_eval=at_once
    )
    return found[0].mean(2).numpy().astype(np.float32)


def text_weights(
    ask: Callable[[Sequence[tuple[str, ...]]], np.ndarray], texts: tuple[str, ...], target: int
) -> list[list[Span]]:
    """Return for each of a row's texts the words and by how much the score of class `target` falls without each.

    `ask` gives float32[rows, classes] for rows of texts. At most 200 words are hidden, the first ones.
    """
    import torch
    from captum.attr import FeatureAblation

    places = [(n, *match.span()) for n, text in enumerate(texts) for match in WORDS.finditer(text)][:MOST_WORDS]
    if not places:
        return [[] for _ in texts]

    def scores(there_BW: torch.Tensor) -> torch.Tensor:
        rows = [_without(texts, places, row.numpy() == 0) for row in there_BW]
        return torch.from_numpy(ask(rows))

    found = FeatureAblation(scores).attribute(
        torch.ones(1, len(places)), baselines=0, target=target, perturbations_per_eval=AT_ONCE
    )
    spans: list[list[Span]] = [[] for _ in texts]
    for (n, start, end), weight in zip(places, found[0].tolist(), strict=True):
        spans[n].append((start, end, weight))
    return spans


def asker(job: "InferJob", folder: Path, classes: int) -> Callable[[Sequence[tuple[str, ...]]], np.ndarray]:
    """Return a function of rows of texts to float32[rows, classes], by the model's own reader and file.

    A row that cannot be read, because nothing is left of it, has the same score for each class.
    """
    import pyarrow as pa

    from sparknn_magic.bundle.folder import MODEL
    from sparknn_magic.infer.worker import make_session, open_reader

    file = str(folder / MODEL)
    session, read = make_session(file, threads=0), open_reader(job, file)

    def ask(rows: Sequence[tuple[str, ...]]) -> np.ndarray:
        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        found = np.full((len(rows), classes), 1 / classes, np.float32)
        for index, inputs in read.batches(*columns, errors=[], threads=1):
            found[index] = session.run(["probabilities"], dict(inputs))[0]
        return found

    return ask


def _without(texts: tuple[str, ...], places: Sequence[tuple[int, int, int]], hidden: np.ndarray) -> tuple[str, ...]:
    """Return the texts without the words at these places."""
    left = list(texts)
    for n, start, end in reversed([place for place, gone in zip(places, hidden, strict=True) if gone]):
        left[n] = left[n][:start] + left[n][end:]
    return tuple(left)
