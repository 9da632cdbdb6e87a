"""Architectures of object detection: raw outputs of their own, a loss of their own, candidates that are exported.

B pictures, M true boxes, Q candidates, K classes.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import DetectionInputs
from sparknn_magic.testing import modules
from sparknn_magic.testing.kit import Subject, checks, guard, must
from sparknn_magic.testing.modules import ROWS, SEED, Case

OUTPUTS = 3
# Colour and grey, one with sides that 32 does not divide; small ones may be refused by a SpecError.
PICTURES = [
    DetectionInputs(3, 64, 96, (10.0, 16.0, 22.0, 30.0, 40.0)),
    DetectionInputs(1, 72, 56),
    DetectionInputs(3, 17, 17),
]


class Candidates(nn.Module):
    """A detector's boxes, as shares of the picture's sides, and scores in one tensor: float32[B, Q, 4 + K]."""

    def __init__(self, body: nn.Module, inputs: DetectionInputs):
        super().__init__()
        self.body = body
        self.sides = [inputs.width, inputs.height, inputs.width, inputs.height]

    def forward(self, pixels: Tensor) -> Tensor:
        """float32[B, C, H, W] -> the candidates."""
        boxes, scores = self.body.detections(self.body(pixels))  # type: ignore[operator]
        return torch.cat([boxes.float() / boxes.new_tensor(self.sides), scores.float()], 2)


def scenes(inputs: DetectionInputs, count: int) -> dict[str, Tensor]:
    """Return float32[count, C, H, W], normalized."""
    draw = torch.Generator().manual_seed(count)
    return {"pixels": torch.randn(count, inputs.channels, inputs.height, inputs.width, generator=draw)}


def targets(inputs: DetectionInputs, count: int) -> dict[str, Tensor]:
    """Return true boxes float32[count, M, 5] of several kinds, by what is told of them."""
    draw = torch.Generator().manual_seed(count)
    low = torch.rand(count, 4, 2, generator=draw) * 0.6
    high = low + 0.05 + torch.rand(count, 4, 2, generator=draw) * 0.35
    sides = torch.tensor([inputs.width, inputs.height])
    classes = torch.randint(0, OUTPUTS, (count, 4, 1), generator=draw).float()
    boxes = torch.cat([classes, low * sides, high * sides], 2)
    boxes[::2, 2:] = -1.0  # some pictures have fewer
    mixed = boxes.clone()
    mixed[1::2] = -1.0  # and some none
    tiny = boxes.clone()
    tiny[..., 3:] = tiny[..., 1:3] + 0.5
    return {
        "boxes": boxes,
        "background among pictures with boxes": torch.where(mixed[..., :1] < 0, -1.0, mixed),
        "background alone": torch.full_like(boxes, -1.0),
        "no boxes at all (M = 0)": boxes[:, :0],
        "boxes of half a pixel": torch.where(boxes[..., :1] < 0, -1.0, tiny),
    }


@checks("architecture", task="object-detection")
def of_scenes(subject: Subject) -> str:
    """Take pictures with boxes and without, and find a loss, gradients and candidates for them."""
    cases, refused = [], []
    for inputs in PICTURES:
        words = f"{inputs.channels}x{inputs.height}x{inputs.width}"
        try:
            body = _seeded(subject, inputs)
        except SpecError as error:
            must(error.message.strip(), f"it refuses {words} without a word: say in the SpecError what it takes.")
            refused.append(f"refuses {words} with a sentence")
            continue
        _has_its_methods(body)
        _learns(body, inputs, words)
        case = Case(words, partial(_candidates, subject, inputs), partial(scenes, inputs), unordered=True)
        _finds(case)
        cases.append(case)
    must(len(cases) >= 2, "it refuses pictures of 64x96 and 72x56 pixels, colour and grey.")
    found = [modules.takes_any_batch(case) for case in cases]
    found += [check(cases[-1]) for check in (modules.obeys_the_seed, modules.is_saved_whole, modules.exports)]
    return "; ".join([*found, "its loss takes boxes, background and no boxes at all", *refused])


def _seeded(subject: Subject, inputs: DetectionInputs) -> Any:
    torch.manual_seed(SEED)
    return subject.build(inputs, OUTPUTS)


def _candidates(subject: Subject, inputs: DetectionInputs) -> nn.Module:
    return Candidates(subject.build(inputs, OUTPUTS), inputs)


def _has_its_methods(body: Any) -> None:
    must(isinstance(body, nn.Module), f"it builds a {type(body).__name__}, not a torch.nn.Module.")
    for name in ("loss", "detections"):
        must(callable(getattr(body, name, None)), f"its module has no method `{name}`.")
    must(hasattr(body, "nms"), "its module has no `nms`: an IoU, or None where it needs none.")
    must(body.nms is None or 0 < body.nms <= 1, f"its `nms` is {body.nms}: an IoU is above 0 and at most 1.")


def _learns(body: Any, inputs: DetectionInputs, words: str) -> None:
    """Every parameter gets a finite gradient for any boxes: one without leaves Spark's ranks waiting."""
    pixels = scenes(inputs, ROWS)["pixels"]
    for kind, target in targets(inputs, ROWS).items():
        body.train().zero_grad(set_to_none=True)
        with guard(f"its loss fails on {kind}, {words}", allow=()):
            loss = body.loss(body(pixels, target), target)
            must(loss.shape == (ROWS,), f"its loss of {ROWS} pictures is {list(loss.shape)}: one number a picture.")
            must(loss.isfinite().all(), f"its loss is not finite for {kind}, {words}.")
            must(loss.dtype == torch.float32, f"its loss is {loss.dtype}: it is computed in float32.")
            loss.sum().backward()
        wanted = [(name, p) for name, p in body.named_parameters() if p.requires_grad]
        idle = [name for name, p in wanted if p.grad is None]
        must(not idle, f"its parameter '{(idle or [''])[0]}' gets no gradient for {kind}.")
        wrong = [name for name, p in wanted if p.grad is not None and not p.grad.isfinite().all()]
        must(not wrong, f"the gradient of its parameter '{(wrong or [''])[0]}' is not finite for {kind}.")


def _finds(case: Case) -> None:
    """As many candidates with as many scores, of both shapes, for 1 picture and for 7."""
    module, count = case.settled(), []
    for rows in (1, ROWS):
        with torch.no_grad(), guard(f"its detections fail on {rows} of {case.words}", allow=()):
            boxes, scores = module.body.detections(module.body(case.rows(rows)["pixels"]))  # type: ignore
        must(
            boxes.ndim == 3 and boxes.shape[2] == 4 and scores.shape == (rows, boxes.shape[1], OUTPUTS),
            f"its detections are boxes {list(boxes.shape)} and scores {list(scores.shape)} for {rows} of {case.words}: "
            f"they are [{rows}, candidates, 4] and [{rows}, candidates, {OUTPUTS}].",
        )
        must(boxes.isfinite().all(), "it gives boxes that are not finite.")
        must(bool((scores >= 0).all() and (scores <= 1).all()), "it gives scores outside 0..1.")
        must((boxes[..., 2:] >= boxes[..., :2]).all(), "it gives inverted boxes: x1, y1, x2, y2 are meant.")
        count.append(boxes.shape[1])
    must(count[0] == count[1], f"it gives {count[0]} candidates for 1 picture and {count[1]} for {ROWS}.")
