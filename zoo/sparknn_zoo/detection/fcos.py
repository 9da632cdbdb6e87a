"""FCOS: one stage, no anchors; every cell of several feature maps gives a score for each class and one box.

Source: Tian et al. 2019, FCOS, https://arxiv.org/abs/1904.01355. Which cells learn an object is found as in Ge et al.
2021, YOLOX, https://arxiv.org/abs/2107.08430 (simOTA), with branches of each map's own; a score is the class and the
quality of its box at once (Li et al. 2020, Generalized Focal Loss, https://arxiv.org/abs/2006.04388), in place of
FCOS's centerness.

B batch, C channels, H height, W width, K classes, M true boxes, A places: the cells of all maps.
"""

from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from sparknn_magic.plugin import DetectionInputs, architecture
from sparknn_zoo.detection.backbones import Backbone, Pyramid, build_pyramid
from sparknn_zoo.detection.boxes import around, cell_centres, giou, iou
from sparknn_zoo.detection.parts import LARGEST, TopDown, branch, finest_stride, objects_a_picture, prior_bias

SOURCE = "Tian et al. 2019, FCOS, arXiv:1904.01355; Ge et al. 2021, YOLOX, arXiv:2107.08430 (simOTA)"
RADIUS = 2.5  # cells around an object's centre that may learn it: YOLOX, sec. 2.1
MOST = 10  # cells that may learn one object: simOTA's q, Ge et al. 2021, OTA, sec. 3.3
IOU_COST = 3.0  # of the box beside the class, in what a cell costs an object: YOLOX
OUTSIDE = 1e5  # cost of a cell that is not both near the centre and in the box
NEVER = 1e8
BOX_WEIGHT = 2.0  # Li et al. 2020, sec. 4
FIRST_GUESS = 2.0  # strides from a cell to each side of its box, before training


class Fcos(nn.Module):
    """Backbone, top-down neck, and on each map two branches of its own."""

    nms = 0.6
    bfloat16_on_cpu = True  # learns as well in this format as in float32
    rebuild: dict[str, Any]
    note: str

    def __init__(self, pyramid: Pyramid, outputs: int, *, channels: int):
        super().__init__()
        self.strides = pyramid.strides
        self.pyramid = pyramid
        self.neck = TopDown(pyramid.channels, channels, len(self.strides))
        self.classes = nn.ModuleList(branch(channels, outputs, prior_bias()) for _ in self.strides)
        self.sides = nn.ModuleList(branch(channels, 4) for _ in self.strides)
        self.heads = tuple(f"classes.{n}.3" for n in range(len(self.strides)))  # anew where the classes are others
        self.last_layers = tuple(f"sides.{n}.3" for n in range(len(self.strides)))  # give outputs besides

    def forward(self, x_BCHW: Tensor, target: Tensor | None = None) -> dict[str, Tensor]:
        """float32[B, C, H, W] -> logits [B, A, K], raw distances [B, A, 4], and of places x, y and stride [A, 3]."""
        logits, sides, places = [], [], []
        for n, x in enumerate(self.neck(self.pyramid(x_BCHW))):
            height, width = x.shape[2:]
            logits.append(self.classes[n](x).flatten(2).transpose(1, 2))
            sides.append(self.sides[n](x).flatten(2).transpose(1, 2))
            centres = cell_centres(height, width, self.strides[n], x)
            places.append(torch.cat([centres, torch.full_like(centres[:, :1], self.strides[n])], 1))
        return {"logits": torch.cat(logits, 1), "sides": torch.cat(sides, 1), "places": torch.cat(places)}

    def boxes(self, raw: dict[str, Tensor]) -> Tensor:
        """Return every place's box, float32[B, A, 4] in pixels."""
        places_A3 = raw["places"]
        sides_BA4 = raw["sides"].float().clamp(-LARGEST, LARGEST).exp() * (FIRST_GUESS * places_A3[:, 2:])
        return around(places_A3[:, :2], sides_BA4)

    def detections(self, raw: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return boxes float32[B, A, 4] and scores float32[B, A, K]."""
        return self.boxes(raw), raw["logits"].float().sigmoid()

    def loss(self, raw: dict[str, Tensor], target: Tensor) -> Tensor:
        """Return the quality focal loss of all places, and GIoU of those that learn a box, of each picture: [B]."""
        logits_BAK, boxes_BA4 = raw["logits"].float(), self.boxes(raw)
        classes_BM, truth_BM4 = target[:, :, 0].long(), target[:, :, 1:].float()
        wanted_BAK = torch.zeros_like(logits_BAK)
        if not target.shape[1]:  # a gradient of 0 for the boxes: no parameter is left out
            return quality_focal(logits_BAK, wanted_BAK).sum((1, 2)) + boxes_BA4.sum((1, 2)) * 0.0
        with torch.no_grad():
            owner_BA, learns_BA = assign(logits_BAK, boxes_BA4, raw["places"], classes_BM, truth_BM4)
        own_BA4 = truth_BM4.gather(1, owner_BA[:, :, None].expand(-1, -1, 4))
        quality_BA = iou(boxes_BA4.detach(), own_BA4)[0] * learns_BA
        place_BA1 = classes_BM.clamp(min=0).gather(1, owner_BA)[:, :, None]
        wanted_BAK = wanted_BAK.scatter(2, place_BA1, quality_BA[:, :, None])
        box_B = ((1 - giou(boxes_BA4, own_BA4)) * learns_BA).sum(1)
        class_B = quality_focal(logits_BAK, wanted_BAK).sum((1, 2))
        return (class_B + BOX_WEIGHT * box_B) / objects_a_picture(learns_BA.sum(1))


def quality_focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return |wanted - score|^2 times the cross-entropy, shaped as it came. Source: Li et al. 2020, eq. 4."""
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (wanted - logits.sigmoid()) ** 2 * entropy


def assign(
    logits_BAK: Tensor, boxes_BA4: Tensor, places_A3: Tensor, classes_BM: Tensor, truth_BM4: Tensor
) -> tuple[Tensor, Tensor]:
    """Return for each place the true box that it is nearest to in cost, int64[B, A], and whether it learns it, bool.

    Each object takes the cheapest places, as many as the sum of its ten best overlaps says, at least one; a place that
    several want learns the cheapest. Source: Ge et al. 2021, YOLOX, sec. 2.1 (simOTA).
    """
    real_BM = classes_BM >= 0
    x_A, y_A, stride_A = places_A3.unbind(1)
    left, top, right, bottom = (side[..., None] for side in truth_BM4.unbind(-1))
    inside = (x_A > left) & (x_A < right) & (y_A > top) & (y_A < bottom)
    reach = RADIUS * stride_A
    near = ((x_A - (left + right) / 2).abs() < reach) & ((y_A - (top + bottom) / 2).abs() < reach)
    may = (inside | near) & real_BM[:, :, None]
    overlap_BMA = iou(truth_BM4[:, :, None], boxes_BA4[:, None])[0] * may
    named = classes_BM.clamp(min=0)[:, None].expand(-1, logits_BAK.shape[1], -1)
    class_cost_BMA = -F.logsigmoid(logits_BAK.gather(2, named)).transpose(1, 2)
    cost = class_cost_BMA - IOU_COST * overlap_BMA.clamp(min=1e-8).log()
    cost = cost + OUTSIDE * ~(inside & near) + NEVER * ~may
    most = min(MOST, cost.shape[2])
    cheapest, places = cost.topk(most, largest=False)
    count_BM = overlap_BMA.topk(most).values.sum(2).long().clamp(min=1)
    takes = (torch.arange(most, device=cost.device) < count_BM[:, :, None]) & (cheapest < NEVER)
    taken_BMA = torch.zeros_like(cost, dtype=torch.bool).scatter(2, places, takes)
    price_BA, owner_BA = torch.where(taken_BMA, cost, torch.inf).min(1)
    return owner_BA, price_BA.isfinite()


@architecture("fcos", task="object-detection", source=SOURCE)
def fcos(
    inputs: DetectionInputs,
    outputs: int,
    *,
    backbone: Backbone = "compact",
    backbone_options: dict[str, Any] | None = None,
    pretrained: str | None = None,
    width: Annotated[int, Field(ge=8, multiple_of=2)] = 24,
    channels: Annotated[int, Field(ge=8)] = 96,
    stride: Literal["auto", 4, 8, 16] = "auto",
) -> nn.Module:
    """FCOS with simOTA: float32[B, C, H, W] -> a score for each class and a box in every cell of several maps.

    Pictures of at least 32x32 pixels. Boxes of one class that overlap by more than 0.6 are left out but for the best.

    backbone: an architecture of the classification zoo: compact, resnet18, resnet34, resnet50, mobilenet_v2 or
        convnext-atto.
    backbone_options: of that architecture, where it is not compact; the pretrained model's own if they are not given.
    pretrained: folder or name of a model of that architecture, trained here, whose weights the backbone starts from.
    width: channels of the stem of the backbone `compact`; its stages have 2, 4, 6 and 8 times as many; as in the
        model of `pretrained`.
    channels: of the neck and the heads.
    stride: of the finest map, in pixels; auto is 4 where a twentieth of the training boxes is under 24, else 8. Each
        further map has cells of twice the side, up to 32.
    Source: Tian et al. 2019; assignment of Ge et al. 2021.
    Raises: SpecError where the pictures are smaller, BundleError where the model is of another architecture.
    """
    first = finest_stride(inputs) if stride == "auto" else stride
    pyramid, rebuilt = build_pyramid(
        "fcos", inputs, first, backbone=backbone, options=backbone_options, width=width, pretrained=pretrained
    )
    network = Fcos(pyramid, outputs, channels=channels)
    network.rebuild, network.note = rebuilt
    return network
