"""`explain`: the most confident mistakes of a classifier, and what in the picture or the text its answer hangs on.

Parts are hidden one after the other, and the exported file is asked again: how much lower is the score of its answer
then? So what is explained is the very file that SQL runs, whatever network is in it. Source: Zeiler and Fergus 2014,
Visualizing and Understanding Convolutional Networks, sec. 4.2, arXiv:1311.2901; by captum's Occlusion and
FeatureAblation.
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
AT_ONCE = 64  # pictures or texts in one call of the network
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

    from sparknn_magic.model import prepared_meta, rows_of

    if not re.fullmatch(r"0*[1-9]\d{0,2}", str(count)):
        raise SpecError(f"explain: '{count}' is no number of rows.", hint="Write a whole number from 1 to 999.")
    if find_spec("captum") is None:
        raise MissingExtra("explain needs captum: pip install 'sparknn-magic[train]'")
    if data is None:
        scored, meta = model.predict_prepared(model.test_rows(variables)), prepared_meta(model.meta)
    else:
        frame, meta = model.preprocessed(rows_of(model.spark, data, variables), None)
        scored = model._predict(frame, meta, None, "prediction", "permissive", ("auto",))
    found = model.task.explained(scored, meta, model.folder, int(count))
    if found is None:
        message = f"{model.name}: explain knows classes of pictures and of texts, not {model.meta['task']}."
        raise SpecError(message, hint="`%sparknn show NAME --examples 9` shows rows of any task.")
    return found


def picture_weights(session: "InferenceSession", pixels: np.ndarray, target: int) -> np.ndarray:
    """Return float32[H, W]: by how much the score of class `target` falls where the picture is hidden there.

    `session` has a model.onnx of pictures, `pixels` is uint8[H, W, C] as the network takes it. What is hidden has the
    picture's mean colour.
    """
    import torch
    from captum.attr import Occlusion

    def scores(x_BHWC: torch.Tensor) -> torch.Tensor:
        images = x_BHWC.round().clamp(0, 255).to(torch.uint8).numpy()
        return torch.from_numpy(session.run(["probabilities"], {"image": images})[0])

    height, width, channels = pixels.shape
    x_1HWC = torch.from_numpy(pixels.astype(np.float32))[None]
    window = (max(1, height // WINDOW), max(1, width // WINDOW), channels)
    strides = (max(1, height // STEPS), max(1, width // STEPS), channels)
    grey = x_1HWC.mean((1, 2), keepdim=True).expand_as(x_1HWC)
    found = Occlusion(scores).attribute(
        x_1HWC, window, strides=strides, baselines=grey, target=target, perturbations_per_eval=AT_ONCE
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
