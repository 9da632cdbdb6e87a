"""A detector -> one ONNX file: pictures in, the objects in them out; threshold, NMS and top-k are in its graph.

The network's candidates are exported by torch; what chooses among them is added as ONNX operators, and `choose` is the
same in numpy. B batch, H height, W width, C channels, Q candidates of a picture, K classes, M objects at most, S pairs
of candidate and class that NMS keeps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparknn_magic.errors import ExportError
from sparknn_magic.export.graph import IMAGE, PRODUCER, export_onnx, save_checked
from sparknn_magic.training.job import TrainJob
from sparknn_magic.training.network import Network, Pixels
from sparknn_magic.training.picture_ap import overlap

DETECTION = ("boxes", "scores", "labels", "count")
CANDIDATES = ("candidate_boxes", "candidate_scores")
EXAMPLE_ROWS = 2  # the exporter takes a batch of 1 for a fixed size
OWN = "choose/"  # in front of the names of what is added
# Candidates that NMS chooses from for each object that may be given, the highest scores first: a network that has
# learnt little has thousands. FCOS teaches up to ten cells an object.
BEFORE_NMS = 20


@dataclass(frozen=True, slots=True)
class Rules:
    """Which candidates are objects."""

    score: float = 0.01  # the least score: guesses below add next to nothing to average precision
    most: int = 100  # objects of a picture
    nms: float | None = None  # IoU above which, within a class, the lower score is left out; None: nothing is

    def to_plain(self) -> dict[str, Any]:
        """Return what bundle.json says of them."""
        return asdict(self)

    def within(self, candidates: int) -> "Rules":
        """Return these rules for a network that has so many candidates of all classes: it cannot give more objects."""
        return replace(self, most=min(self.most, candidates))


class Detector(nn.Module):
    """A detection network -> candidate boxes float32[B, Q, 4] (xyxy, input's pixels), scores float32[B, Q, K]."""

    def __init__(self, front: nn.Module, body: nn.Module):
        super().__init__()
        self.front, self.body = front, body

    @property
    def nms(self) -> float | None:
        """The IoU that the network's own kind needs for its NMS; None: it needs none."""
        return self.body.nms  # type: ignore[return-value]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8[B, H, W, C] -> the candidates; `image` is the ONNX input's name."""
        boxes_BQ4, scores_BQK = self.body.detections(self.body(*self.front(image)))  # type: ignore[operator]
        return boxes_BQ4.float(), scores_BQK.float()


def detector(job: TrainJob, network: Network) -> Detector:
    """Return the trained network as it is exported: the front of its training takes boxes too."""
    front = Pixels(**job.rows.front.options)
    front.mean, front.std = network.front.mean, network.front.std  # type: ignore[assignment]  # the body may ask for its own
    body = network.body.merged() if hasattr(network.body, "merged") else network.body  # type: ignore[operator]
    return Detector(front, body).eval()


def candidates_of(model: Detector, size: tuple[int, int, int]) -> int:
    """Return how many candidates of all classes a network has for a picture of `size` (height, width, channels)."""
    with torch.no_grad():
        return model(torch.zeros(1, *size, dtype=torch.uint8))[1].numel()


def export_detector(
    model: Detector, size: tuple[int, int, int], path: Path, metadata: Mapping[str, Any], rules: Rules
) -> int:
    """Write the model for pictures of `size` (height, width, channels) to `path`; return its opset.

    Input `image` uint8[batch, H, W, C]. Outputs, of each picture the highest score first: boxes float32[batch, M, 4],
    x1, y1, x2, y2 in pixels of the input; scores float32[batch, M]; labels int64[batch, M], numbers of classes; count
    int64[batch]. Rows behind `count` are zeros and of label -1. A picture for which the network gives a score that is
    no number has NaN in all its scores.
    Raises: ExportError as `export_onnx` does.
    """
    import onnx

    example = {IMAGE: torch.zeros(EXAMPLE_ROWS, *size, dtype=torch.uint8)}
    with torch.no_grad():
        boxes, scores = model(*example.values())
    if boxes.shape[:2] != scores.shape[:2] or boxes.shape[2:] != (4,) or scores.ndim != 3:
        raise ExportError(
            f"the architecture's detections are boxes {list(boxes.shape)} and scores {list(scores.shape)}.",
            hint="They are boxes [batch, candidates, 4] and scores [batch, candidates, classes].",
        )
    export_onnx(model, example, CANDIDATES, path, metadata)
    proto = onnx.load(path)
    said = {prop.key: prop.value for prop in proto.metadata_props}
    proto = _renamed(proto, DETECTION)
    append_choice(proto, rules, boxes.shape[1], scores.shape[2])
    proto.producer_name = PRODUCER
    return save_checked(proto, path, said)


def append_choice(proto: Any, rules: Rules, queries: int, classes: int) -> None:
    """Let a graph whose outputs are `CANDIDATES` give `DETECTION` instead."""
    from onnx import TensorProto, helper, numpy_helper

    graph = proto.graph
    count = min(rules.most, queries * classes)
    for name, value in _constants(rules, queries, classes, count).items():
        graph.initializer.append(numpy_helper.from_array(value, OWN + name))
    for operator, inputs, outputs, attributes in _operators(rules):
        taken, given = ([_global(name) for name in each.split()] for each in (inputs, outputs))
        graph.node.append(helper.make_node(operator, taken, given, name=OWN + outputs, **attributes))
    batch = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    shapes = {
        "boxes": (TensorProto.FLOAT, [batch, count, 4]),
        "scores": (TensorProto.FLOAT, [batch, count]),
        "labels": (TensorProto.INT64, [batch, count]),
        "count": (TensorProto.INT64, [batch]),
    }
    graph.value_info.extend(graph.output)
    del graph.output[:]
    graph.output.extend(helper.make_tensor_value_info(name, *shapes[name]) for name in DETECTION)


def _constants(rules: Rules, queries: int, classes: int, count: int) -> dict[str, np.ndarray]:
    def whole(*values: int) -> np.ndarray:
        return np.array(values, np.int64)

    found = {
        "least": np.array([rules.score], np.float32),
        "zero": np.zeros(1, np.float32),
        "none": whole(-1),
        "first": whole(1),
        "second": whole(2),
        "inner": whole(1, 2),
        "flat": whole(-1, queries * classes),
        "most": whole(count),
        "queries": whole(queries),
    }
    if rules.nms is None:
        return found
    candidates = min(BEFORE_NMS * count, queries * classes)
    iou = np.array([rules.nms], np.float32)
    return found | {"overlap": iou, "candidates": whole(candidates), "last": whole(candidates - 1)}


Operator = tuple[str, str, str, dict[str, Any]]  # operator, names of inputs and of outputs, attributes


def _operators(rules: Rules) -> list[Operator]:
    """Return what is appended, in order; shapes stand behind the names."""
    suppression: list[Operator] = [
        ("Reshape", "counted_BKQ flat", "all_BKQ", {}),
        ("TopK", "all_BKQ candidates", "first_BN place_BN", {"axis": 1}),
        ("Gather", "first_BN last", "last_B1", {"axis": 1}),
        ("Unsqueeze", "last_B1 second", "last_B11", {}),
        ("GreaterOrEqual", "counted_BKQ last_B11", "among_BKQ", {}),
        ("Where", "among_BKQ counted_BKQ zero", "likely_BKQ", {}),
        # Per class, and never more than can be among the best of all.
        ("NonMaxSuppression", "candidate_boxes likely_BKQ most overlap zero", "pairs_S3", {}),
        ("GatherND", "likely_BKQ pairs_S3", "pairs_S", {}),
        ("Shape", "likely_BKQ", "shape", {}),
        ("ConstantOfShape", "shape", "nothing_BKQ", {}),
        ("ScatterND", "nothing_BKQ pairs_S3 pairs_S", "kept_BKQ", {}),
    ]
    kept = "counted_BKQ" if rules.nms is None else "kept_BKQ"
    return [
        ("Transpose", "candidate_scores", "scores_BKQ", {"perm": [0, 2, 1]}),
        ("GreaterOrEqual", "scores_BKQ least", "enough_BKQ", {}),
        ("Where", "enough_BKQ scores_BKQ zero", "counted_BKQ", {}),
        *(suppression if rules.nms is not None else []),
        ("Reshape", f"{kept} flat", "flat_BKQ", {}),
        ("TopK", "flat_BKQ most", "best_BM place_BM", {"axis": 1}),
        ("Greater", "best_BM zero", "there_BM", {}),
        ("Div", "place_BM queries", "class_BM", {}),
        ("Mod", "place_BM queries", "query_BM", {}),
        ("Where", "there_BM class_BM none", "labels", {}),
        ("Unsqueeze", "query_BM second", "query_BM1", {}),
        ("GatherND", "candidate_boxes query_BM1", "best_BM4", {"batch_dims": 1}),
        ("Unsqueeze", "there_BM second", "there_BM1", {}),
        ("Where", "there_BM1 best_BM4 zero", "boxes", {}),
        # 0 of numbers, NaN where one of a picture's scores is none: such a picture must not pass for an empty one.
        ("ReduceSum", "candidate_scores inner", "sum_B", {"keepdims": 0}),
        ("Mul", "sum_B zero", "doubt_B", {}),
        ("Unsqueeze", "doubt_B first", "doubt_B1", {}),
        ("Add", "best_BM doubt_B1", "scores", {}),
        ("Cast", "there_BM", "ones_BM", {"to": 7}),  # int64
        ("ReduceSum", "ones_BM first", "count", {"keepdims": 0}),
    ]


def _global(name: str) -> str:
    return name if name in (*CANDIDATES, *DETECTION) else OWN + name


def _renamed(proto: Any, taken: Sequence[str]) -> Any:
    """Give values inside a graph that have one of these names another."""
    import onnx_ir
    from onnx_ir.traversal import RecursiveGraphIterator

    model = onnx_ir.from_proto(proto)
    values = [value for node in RecursiveGraphIterator(model.graph) for value in node.outputs]
    for value in [*values, *model.graph.initializers.values()]:
        if value.name in taken:
            value.name = f"{value.name}@inside"
    return onnx_ir.to_proto(model)


def choose(boxes_BQ4: np.ndarray, scores_BQK: np.ndarray, rules: Rules) -> dict[str, np.ndarray]:
    """Return what the appended operators give for candidates, by the names of the file's outputs; in numpy."""
    batch, queries, classes = scores_BQK.shape
    count = min(rules.most, queries * classes)
    scores_BKQ = scores_BQK.transpose(0, 2, 1)
    with np.errstate(invalid="ignore"):  # a NaN is no score
        counted = np.where(scores_BKQ >= np.float32(rules.score), scores_BKQ, np.float32(0))
    if rules.nms is not None:
        last = np.sort(counted.reshape(batch, -1), axis=1)[:, -min(BEFORE_NMS * count, queries * classes)]
        counted = np.where(counted >= last[:, None, None], counted, np.float32(0))
        for n in range(batch):
            for k in range(classes):
                kept = suppress(boxes_BQ4[n], counted[n, k], rules.nms, count)
                counted[n, k] = np.where(np.isin(np.arange(queries), kept), counted[n, k], 0)
    flat = counted.reshape(batch, -1)
    place = np.argsort(-flat, axis=1, kind="stable")[:, :count]
    best = np.take_along_axis(flat, place, 1)
    there = best > 0
    found = np.take_along_axis(boxes_BQ4, (place % queries)[:, :, None], 1)
    doubt = np.where(np.isfinite(scores_BQK).all((1, 2)), 0, np.nan)[:, None]
    return {
        "boxes": np.where(there[:, :, None], found, 0).astype(np.float32),
        "scores": (best + doubt).astype(np.float32),
        "labels": np.where(there, place // queries, -1),
        "count": there.sum(1),
    }


def suppress(boxes_Q4: np.ndarray, scores_Q: np.ndarray, iou: float, most: int) -> np.ndarray:
    """Return the positions of the candidates of one class that stay, the highest score first, `most` of them.

    One goes where its IoU with a better one that stays is above `iou`. Source: Felzenszwalb et al. 2010, Object
    Detection with Discriminatively Trained Part-Based Models, sec. 7.2.
    """
    order = np.argsort(-scores_Q, kind="stable")[: int((scores_Q > 0).sum())]
    kept: list[int] = []
    while len(order) and len(kept) < most:
        kept.append(int(order[0]))
        common = overlap(boxes_Q4[order[:1]], boxes_Q4[order[1:]])[0]
        order = order[1:][common <= np.float32(iou)]
    return np.array(kept, np.int64)
