"""Detectors of the transformers library, from files or from nothing: D-FINE, RT-DETR and their kin through one bridge.

The library's own network and its own loss, with denoising queries and the losses of the layers between where it has
them. B batch, M true boxes, Q queries, K classes, H height, W width.
"""

import contextlib
import copy
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import DetectionInputs, architecture
from sparknn_zoo.detection import transformers_families as families
from sparknn_zoo.detection import transformers_parts as parts
from sparknn_zoo.detection.transformers_families import Family
from sparknn_zoo.detection.transformers_parts import Wanted

TASK = "object-detection"
# Attention wants smaller steps than convolutions do: Carion et al. 2020, arXiv:2005.12872, sec. A.4.
NOTES = {"defaults": {"train": {"optimizer": {"adamw": {"lr": 2e-4, "weight_decay": 1e-4}}, "clip_norm": 0.1}}}


class Pixels(BaseModel):
    """Mean and deviation that pixels of 0..1 are normalized with, of each channel, or one for all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: tuple[float, ...]
    std: tuple[float, ...]


class _Kept:
    """Stands in for the library's loss while the network runs, and keeps what that would be given."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def __call__(
        self,
        logits: Tensor,
        labels: Any,
        device: Any,
        pred_boxes: Tensor,
        config: Any,
        outputs_class: Tensor | None = None,
        outputs_coord: Tensor | None = None,
        **more: Any,
    ) -> tuple[None, None, None]:
        self.given = {
            "logits": logits,
            "pred_boxes": pred_boxes,
            "outputs_class": outputs_class,
            "outputs_coord": outputs_coord,
            **more,
        }
        return None, None, None


class TransformersDetector(nn.Module):
    """A detector of transformers under this package's contract.

    `rebuild` has the options that make the same shapes without any file; `note` says, for the user, what was not taken
    from the files; `pixels` is how its pretrained weights want pixels normalized: None: as the training rows are.
    """

    nms = None  # each object has one query

    def __init__(
        self,
        family: Family,
        inputs: DetectionInputs,
        outputs: int,
        wanted: Wanted,
        *,
        pixels: Pixels | None,
        freeze_backbone: bool,
    ):
        super().__init__()
        written, folder = parts.read_files(family, wanted)
        config = parts.make_config(family, inputs, outputs, wanted, written, folder is not None)
        network, anew = parts.load(family, config, folder, wanted.pretrained)
        self.family, self.network, self.config = family, network, network.config
        self.height, self.width = inputs.height, inputs.width
        self.size = tuple(families.filled_up(side, family.stride) for side in (inputs.height, inputs.width))
        said = parts.pixels_of(folder) if pixels is None else (pixels.mean, pixels.std)
        self.pixels = _of_channels(family, said, inputs.channels)
        self.criterion: Any = network.loss_function
        # The last layer's boxes alone, as validation rows are judged.
        self.settings_at_rest = copy.deepcopy(self.config)
        self.settings_at_rest.auxiliary_loss = False  # type: ignore[union-attr]
        self.note = _note(wanted.pretrained, anew, outputs, written)
        self.rebuild: dict[str, Any] = {
            "pretrained": None,
            "config": parts.plain(config),
            "pixels": {"mean": list(said[0]), "std": list(said[1])} if said is not None else None,
            **dict.fromkeys(wanted.sizes),
        }
        # What starts anew where `train.pretrained` is a model of other classes; shared layers by each of their names.
        self.heads = [
            name
            for name, module in self.named_modules(remove_duplicate=False)
            if set(name.split(".")) & set(parts.OF_CLASSES) and not list(module.children())
        ]
        self.backbone = (
            [parts.backbone_of(network)] if freeze_backbone else []
        )  # a list: no second name for its weights
        for module in self.backbone:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> "TransformersDetector":
        """Set the mode; a frozen backbone, with its running statistics, stays at rest."""
        super().train(mode)
        for module in self.backbone:
            module.eval()
        return self

    def forward(self, x: Tensor, target: Tensor | None = None) -> dict[str, Any]:
        """float32[B, C, H, W], boxes float32[B, M, 5] -> what `loss` and `detections` take.

        That is logits float32[B, Q, K] (YOLOS: one more, for nothing) and pred_boxes float32[B, Q, 4]: middle, width
        and height as shares of the picture, filled up to a multiple of the family's stride. In training there is also
        what the library's loss takes of the layers between and of denoising queries, which are made of `target`.
        """
        if torch.is_inference_mode_enabled():
            # transformers keeps positions and anchors from call to call, and nothing can learn with such that inference
            # mode has made.
            with torch.inference_mode(False), torch.no_grad():
                return self._run(x, target)
        return self._run(x, target)

    def _run(self, x: Tensor, target: Tensor | None) -> dict[str, Any]:
        right, below = self.size[1] - self.width, self.size[0] - self.height
        x_BCHW = F.pad(x, (0, right, 0, below)) if right or below else x
        if not self.training:
            with parts.open_batch(self.network) if torch.compiler.is_exporting() else contextlib.nullcontext():
                found = self.network(x_BCHW)
            return {"logits": found.logits, "pred_boxes": found.pred_boxes}
        kept = _Kept()
        self.network.loss_function = kept  # type: ignore[assignment]
        empty = x.new_zeros(len(x), 0, 5) if target is None else target
        self.network(x_BCHW, labels=self._labels(empty))
        return kept.given

    def _labels(self, target_BM5: Tensor) -> list[dict[str, Tensor]]:
        """Return the true boxes as the library takes them: classes, and middle, width and height as shares."""
        height, width = self.size
        scale = target_BM5.new_tensor([width, height, width, height])
        labels = []
        for rows in target_BM5.float():
            real = rows[rows[:, 0] >= 0]
            low, high = real[:, 1:3], real[:, 3:5]
            boxes = torch.cat([(low + high) / 2, high - low], 1) / scale
            labels.append({"class_labels": real[:, 0].long(), "boxes": boxes})
        return labels

    def loss(self, raw: dict[str, Any], target: Tensor) -> Tensor:
        """Return the library's loss of the batch for each of its pictures, float32[B].

        The library divides by the number of boxes of the whole batch, and gives one number: each picture has it, and
        their mean is it. In training it has the terms of the layers between and of the denoising queries; of validation
        rows it is that of the last layer alone, and so a smaller number.
        """
        with torch.autocast(target.device.type, enabled=False):
            given = {name: x.float() if isinstance(x, Tensor) else x for name, x in raw.items()}
            logits, boxes = given.pop("logits"), given.pop("pred_boxes")
            if not (torch.isfinite(logits).all() and torch.isfinite(boxes).all()):
                return (logits.sum() + boxes.sum()).expand(len(target)) * torch.nan  # the matching would raise
            config = self.config if given else self.settings_at_rest
            found = self.criterion(logits, self._labels(target), target.device, boxes, config, **given)[0]
            if self.training:
                # Without a box in the batch there are no denoising queries, and with one layer none between: all
                # weights have a gradient all the same, as ranks that add up theirs expect.
                found = found + 0.0 * sum(p.float().sum() for p in self.parameters() if p.requires_grad)
        return found.expand(len(target))

    def detections(self, raw: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return boxes float32[B, Q, 4], x1, y1, x2, y2 in pixels of the input, and scores float32[B, Q, K]."""
        logits, boxes = raw["logits"].float(), raw["pred_boxes"].float()
        if self.training and raw.get("denoising_meta_values") is not None:
            queries = raw["denoising_meta_values"]["dn_num_split"][1]
            logits, boxes = logits[:, -queries:], boxes[:, -queries:]
        scores = logits.softmax(-1)[..., :-1] if self.family.softmax else logits.sigmoid()
        height, width = self.size
        middle, half = boxes[..., :2], boxes[..., 2:].clamp(min=0) / 2
        low, high = middle - half, middle + half
        x1, y1, x2, y2 = low[..., 0], low[..., 1], high[..., 0], high[..., 1]
        across = [(x * width).clamp(0, self.width) for x in (x1, x2)]
        down = [(y * height).clamp(0, self.height) for y in (y1, y2)]
        return torch.stack([across[0], down[0], across[1], down[1]], -1), scores

    def merged(self) -> "TransformersDetector":
        """Return a copy as it is exported: its attention is written as products and a softmax."""
        whole = copy.deepcopy(self)
        whole.network.set_attn_implementation("eager")  # type: ignore[operator]
        return whole


def _of_channels(family: Family, said: parts.Pixels | None, channels: int) -> parts.Pixels | None:
    """Return mean and deviation of each channel. Raises: SpecError where there are others than channels."""
    if said is None:
        return None
    mean, std = ((each * channels if len(each) == 1 else each) for each in said)
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
        message = f"{family.name}: pixels needs a mean and a deviation above 0 for each of {channels} channels."
        raise SpecError(message)
    return mean, std


def _note(written: str | None, anew: tuple[str, ...], outputs: int, files: dict[str, Any]) -> str:
    """Return the sentence on the layers of the classes; "" for a network that starts from nothing."""
    if written is None:
        return ""
    there = len(files.get("id2label") or {}) or files.get("num_labels", 2)
    if not anew:
        return f"its layers of classes are taken too: {there} there and here."
    return f"its layers of classes start anew: {there} there, {outputs} here."


# What the options mean; `{layers}` and `{width}` are the family's own.
OPTIONS = """\
pretrained: folder with config.json and model.safetensors, or a repository of the hub; null: nothing is learnt yet. \
Layers of classes start anew where the files have another number of them.
config: settings of transformers' config, by their names there; they go before those that are made here.
layers: {blocks}; null: {layers}, or as many as the files have.
width: dimensions of a hidden state; null: {width}, or as the files have it.
heads: attention heads; null: one for each {head} dimensions, or as the files have it.
queries: objects that can be found in a picture at most; null: {queries}, or as the files have it.
{backbone}pixels: mean and std that pixels of 0..1 are normalized with; null: as the files' preprocessor_config.json \
says, else as the training rows are.
{freeze}The loss is that of transformers; each picture of a batch is given the batch's. Sides of a picture are filled \
up to a multiple of {stride}.
Raises: SpecError for settings that do not go together; BundleError for files that cannot be used; MissingExtra \
without the transformers library."""
OF_BACKBONE = "backbone: channels of the backbone's first stage, each further one has twice as many; null: 32.\n"
FREEZE = "freeze_backbone: the backbone keeps its weights.\n"
BLOCKS = {True: "of the encoder and of the decoder, each", False: "of the decoder"}


def _words(family: Family, about: str, source: str) -> str:
    has_backbone = family is not families.YOLOS
    both = family in (families.DEFORMABLE_DETR, families.CONDITIONAL_DETR)
    options = OPTIONS.format(
        blocks=BLOCKS[both] if has_backbone else "blocks",
        layers=family.layers,
        width=family.width,
        head=family.head,
        queries=family.queries,
        stride=family.stride,
        backbone=OF_BACKBONE if has_backbone else "",
        freeze=FREEZE if has_backbone else "",
    )
    return f"{about}: float32[B, C, H, W] -> boxes and scores.\n\n{options}\nSource: {source}."


def _of(family: Family, about: str, source: str) -> Any:
    """Return the architecture of a family that has a backbone."""

    def build(
        inputs: DetectionInputs,
        outputs: int,
        *,
        pretrained: str | None = None,
        config: dict[str, Any] | None = None,
        layers: PositiveInt | None = None,
        width: PositiveInt | None = None,
        heads: PositiveInt | None = None,
        queries: PositiveInt | None = None,
        backbone: PositiveInt | None = None,
        pixels: Pixels | None = None,
        freeze_backbone: bool = False,
    ) -> nn.Module:
        wanted = Wanted(pretrained, config, layers, width, heads, queries, backbone)
        return _build(family, inputs, outputs, wanted, pixels, freeze_backbone)

    build.__name__ = build.__qualname__ = family.name  # executors find it again by module and name
    build.__doc__ = _words(family, about, source)
    return architecture(family.name, task=TASK, source=source, notes=NOTES)(build)


def _build(
    family: Family, inputs: DetectionInputs, outputs: int, wanted: Wanted, pixels: Any, freeze_backbone: bool
) -> nn.Module:
    asked = pixels if pixels is None or isinstance(pixels, Pixels) else Pixels(**pixels)
    return TransformersDetector(family, inputs, outputs, wanted, pixels=asked, freeze_backbone=freeze_backbone)


d_fine = _of(
    families.D_FINE,
    "D-FINE, whose boxes are distributions that each layer refines",
    "Peng et al. 2024, D-FINE: Redefine Regression Task in DETRs as Fine-grained Distribution Refinement, "
    "arXiv:2410.13842",
)
deim_v2 = _of(
    families.DEIM_V2,
    "DEIMv2, D-FINE with denser matching",
    "Huang et al. 2025, Real-Time Object Detection Meets DINOv3, arXiv:2509.20787",
)
rt_detr_v2 = _of(
    families.RT_DETR_V2,
    "RT-DETRv2, a DETR with a convolutional encoder and chosen queries",
    "Lv et al. 2024, RT-DETRv2: Improved Baseline with Bag-of-Freebies for Real-Time Detection Transformer, "
    "arXiv:2407.17140",
)
deformable_detr = _of(
    families.DEFORMABLE_DETR,
    "Deformable DETR, whose attention looks at a few places of several maps",
    "Zhu et al. 2021, Deformable DETR: Deformable Transformers for End-to-End Object Detection, arXiv:2010.04159",
)
conditional_detr = _of(
    families.CONDITIONAL_DETR,
    "Conditional DETR, whose queries look where their boxes are",
    "Meng et al. 2021, Conditional DETR for Fast Training Convergence, arXiv:2108.06152",
)
YOLOS_SOURCE = (
    "Fang et al. 2021, You Only Look at One Sequence: Rethinking Transformer in Vision through Object Detection, "
    "arXiv:2106.00666"
)


@architecture("yolos", task=TASK, source=YOLOS_SOURCE, notes=NOTES)
def yolos(
    inputs: DetectionInputs,
    outputs: int,
    *,
    pretrained: str | None = None,
    config: dict[str, Any] | None = None,
    layers: PositiveInt | None = None,
    width: PositiveInt | None = None,
    heads: PositiveInt | None = None,
    queries: PositiveInt | None = None,
    pixels: Pixels | None = None,
) -> nn.Module:
    """YOLOS; the options are those of the other families, and their words are put together below."""
    return _build(
        families.YOLOS, inputs, outputs, Wanted(pretrained, config, layers, width, heads, queries), pixels, False
    )


yolos.__doc__ = _words(families.YOLOS, "YOLOS, a vision transformer with tokens that become boxes", YOLOS_SOURCE)
