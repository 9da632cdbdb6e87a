"""CenterNet: every object is a peak in its class's heat map, with its box beside it; decoding needs no NMS.

Source: Zhou et al. 2019, Objects as Points, https://arxiv.org/abs/1904.07850. Training is that of Liu et al. 2019,
Training-Time-Friendly Network, https://arxiv.org/abs/1909.00700: Gaussians as wide and as high as the box, and many
cells around a centre that all learn its box, by their distances to its sides and GIoU: it learns from few pictures.
Here those cells learn its class too: in a heat map alone one cell of an object has its class, which tells shirts from
coats only after many more pictures. A score is the probability that a peak is an object, times that of its class. Heat
is no probability, as the focal loss draws it to the middle: Platt scaling, learnt beside, makes one of it.

B batch, C channels, H height, W width (h, w of the heat map), K classes, M true boxes, Q = h * w cells.
"""

import math
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from sparknn_magic.plugin import DetectionInputs, architecture
from sparknn_zoo.detection.backbones import Backbone, Pyramid, build_pyramid
from sparknn_zoo.detection.boxes import area, around, cell_centres, giou, iou
from sparknn_zoo.detection.parts import LARGEST, TopDown, branch, finest_stride, objects_a_picture, prior_bias

SOURCE = "Zhou et al. 2019, Objects as Points, arXiv:1904.07850; Liu et al. 2019, TTFNet, arXiv:1909.00700"
SPREAD = 0.54  # of a box's side that its Gaussian reaches to either side, three deviations: TTFNet, sec. 4.1
LEAST_DEVIATION = 0.4  # cells: the Gaussian of a box smaller than a cell
CUT = 0.05  # of the Gaussian's peak: cells below learn no box
BOX_WEIGHT = 5.0  # of the box's loss beside the heat map's: TTFNet, sec. 4.3
CLASS_WEIGHT = 3.0  # of the class's loss beside the heat map's
SLOPE, OFFSET = 3.0, 2.0  # of Platt scaling, before training: on scenes it ends near them
CERTAINTY_WEIGHT = 0.1  # of its loss; little, so that clipped gradients of the network stay what they are
FOUND = 0.5  # IoU with an object's box from which a peak in its bump has found it
ALPHA, BETA = 2.0, 4.0  # of the heat map's focal loss: Law and Deng 2018, CornerNet, eq. 1
COLD = -1e9  # a logit below all others
Raw = tuple[Tensor, Tensor, Tensor]  # float32[B, K, h, w], [B, 4, h, w], [B, 1, h, w]


class Platt(nn.Module):
    """The logit of the probability that a peak of this heat is an object: slope * heat + offset, the slope above 0.

    Source: Platt 1999, Probabilistic Outputs for Support Vector Machines.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_slope = nn.Parameter(torch.tensor(math.log(SLOPE)))
        self.offset = nn.Parameter(torch.tensor(OFFSET))

    def forward(self, heat: Tensor) -> Tensor:
        """float32 of any shape -> the same."""
        return self.log_slope.exp() * heat + self.offset


class CenterNet(nn.Module):
    """Backbone, top-down neck, and two branches on the finest map."""

    nms = None  # a peak stands alone
    bfloat16_on_cpu = True  # learns as well in this format as in float32
    heads = ("heat.3",)  # what starts anew where the classes are others
    last_layers = ("sides.3",)  # what gives outputs besides
    rebuild: dict[str, Any]
    note: str
    scale: Tensor

    def __init__(self, pyramid: Pyramid, outputs: int, *, channels: int, scale: float):
        super().__init__()
        self.stride = pyramid.strides[0]
        self.pyramid = pyramid
        self.neck = TopDown(pyramid.channels, channels, 1)
        self.heat = branch(channels, outputs, prior_bias())
        self.sides = branch(channels, 4)
        # The distance in pixels that a raw 0 means; beside the weights, because these go with it.
        self.register_buffer("scale", torch.tensor(scale))
        self.certainty = Platt()

    def forward(self, x_BCHW: Tensor, target: Tensor | None = None) -> Raw:
        """float32[B, C, H, W] -> logits of the heat maps, raw distances to the sides, logits of peaks being objects."""
        x_BChw = self.neck(self.pyramid(x_BCHW))[0]
        heat_BKhw = self.heat(x_BChw)
        # The heat maps learn nothing by what is made of them here.
        return heat_BKhw, self.sides(x_BChw), self.certainty(heat_BKhw.detach().float().amax(1, keepdim=True))

    def boxes(self, sides_B4hw: Tensor) -> Tensor:
        """Raw distances -> boxes float32[B, Q, 4] in pixels."""
        height, width = sides_B4hw.shape[2:]
        sides_BQ4 = sides_B4hw.float().flatten(2).transpose(1, 2).clamp(-LARGEST, LARGEST).exp() * self.scale
        return around(cell_centres(height, width, self.stride, sides_BQ4), sides_BQ4)

    def detections(self, raw: Raw) -> tuple[Tensor, Tensor]:
        """Return boxes float32[B, Q, 4] and scores float32[B, Q, K]: of peaks theirs, of all other cells 0."""
        heat_BKhw, sides_B4hw, sure_B1hw = raw
        score_BKhw = class_scores(heat_BKhw.float(), sure_B1hw)
        peak_BKhw = peaks(score_BKhw)
        # Scores near 1 are equal in float32 where the heat is not: of such neighbours the hottest is the peak.
        heat_B1hw = heat_BKhw.float().amax(1, keepdim=True)
        peak_BKhw = peak_BKhw & peaks(torch.where(peak_BKhw, heat_B1hw, torch.full_like(heat_B1hw, COLD)))
        scores = torch.where(peak_BKhw, score_BKhw, torch.zeros_like(score_BKhw))
        return self.boxes(sides_B4hw), scores.flatten(2).transpose(1, 2)

    def loss(self, raw: Raw, target: Tensor) -> Tensor:
        """Return the loss of each picture, float32[B].

        It is the focal loss of the heat maps, GIoU and cross-entropy around centres, and the cross-entropy of which
        peaks are objects.
        """
        heat_BKhw, sides_B4hw, sure_B1hw = (each.float() for each in raw)
        target = target if target.shape[1] else target.new_full((len(target), 1, 5), -1.0)  # one that is no box
        classes_BM, boxes_BM4 = target[:, :, 0], target[:, :, 1:].float()
        real_BM = classes_BM >= 0
        height, width = heat_BKhw.shape[2:]
        spread_BMQ = gaussians(boxes_BM4, real_BM, height, width, self.stride)
        wanted_BKQ = heat_target(spread_BMQ, classes_BM, heat_BKhw.shape[1])
        heat_B = focal(heat_BKhw.flatten(2), wanted_BKQ).sum((1, 2))
        which_BQ, share_BQ = owners(spread_BMQ, boxes_BM4)
        found_BQ4 = self.boxes(sides_B4hw)
        wanted_BQ4 = boxes_BM4.gather(1, which_BQ[:, :, None].expand(-1, -1, 4))
        box_B = box_loss(found_BQ4, wanted_BQ4, share_BQ)
        class_B = class_loss(heat_BKhw.flatten(2), classes_BM, which_BQ, share_BQ)
        right_BQ = (share_BQ > 0) & (iou(found_BQ4.detach(), wanted_BQ4)[0] > FOUND)
        sure_B = certainty_loss(sure_B1hw, which_BQ, right_BQ, boxes_BM4.shape[1])
        whole_B = heat_B + BOX_WEIGHT * box_B + CLASS_WEIGHT * class_B + CERTAINTY_WEIGHT * sure_B
        return whole_B / objects_a_picture(real_BM.sum(1))


def class_scores(logits_BKhw: Tensor, sure_B1hw: Tensor) -> Tensor:
    """Return the score of each class in each cell: that an object is there, times that it is of this class.

    The second is the softmax, which the cross-entropy has taught: it knows the likely second class where a heat map of
    its own hardly shows it.
    Source: Redmon et al. 2016, You Only Look Once, arXiv:1506.02640, eq. 1.
    """
    return sure_B1hw.sigmoid() * logits_BKhw.softmax(1)


def peaks(x_BKhw: Tensor) -> Tensor:
    """Return which cells are the highest of the nine around them, bool[B, K, h, w]."""
    return F.max_pool2d(x_BKhw, 3, stride=1, padding=1) == x_BKhw


def certainty_loss(sure_B1hw: Tensor, which_BQ: Tensor, right_BQ: Tensor, boxes: int) -> Tensor:
    """Return the cross-entropy of which peaks are objects, a sum for each picture: float32[B].

    which_BQ: the number of a cell's object, of `boxes` at most; right_BQ: whether its box is that of the object. Of an
    object's peaks with the right box the highest one is the object, the others are too much.
    """
    sure_BQ, peak_BQ = sure_B1hw.flatten(1), peaks(sure_B1hw.detach()).flatten(1)
    height_BQ = torch.where(peak_BQ & right_BQ, sure_BQ.detach(), -torch.inf)
    highest_BM = height_BQ.new_full((len(height_BQ), boxes), -torch.inf).scatter_reduce(1, which_BQ, height_BQ, "amax")
    object_BQ = peak_BQ & right_BQ & (height_BQ == highest_BM.gather(1, which_BQ))
    entropy_BQ = F.binary_cross_entropy_with_logits(sure_BQ, object_BQ.float(), reduction="none")
    return (entropy_BQ * peak_BQ).sum(1)


def gaussians(boxes_BM4: Tensor, real_BM: Tensor, height: int, width: int, stride: int) -> Tensor:
    """Return float32[B, M, Q]: of each box a bump over the heat map's cells, exactly 1 in the cell of its centre.

    Along each axis it reaches 0.54 of half the box's side to either side of the centre; what is no box has 0 alone.
    """
    centre_BM2 = (boxes_BM4[..., :2] + boxes_BM4[..., 2:]) / (2 * stride)
    sides_BM2 = (boxes_BM4[..., 2:] - boxes_BM4[..., :2]) / stride
    bumps = []
    for axis, cells in ((0, width), (1, height)):
        place = torch.arange(cells, device=boxes_BM4.device, dtype=torch.float32)
        middle = centre_BM2[..., axis].floor().clamp(0, cells - 1)
        deviation = (SPREAD * sides_BM2[..., axis] / 6).clamp(min=LEAST_DEVIATION)
        bumps.append(torch.exp(-((place - middle[..., None]) ** 2) / (2 * deviation[..., None] ** 2)))
    x_BMw, y_BMh = bumps
    return (y_BMh[:, :, :, None] * x_BMw[:, :, None, :] * real_BM[:, :, None, None]).flatten(2)


def heat_target(spread_BMQ: Tensor, classes_BM: Tensor, classes: int) -> Tensor:
    """Return float32[B, K, Q]: in each class's map the highest of its boxes' bumps."""
    batch, boxes, cells = spread_BMQ.shape
    wanted_BKQ = spread_BMQ.new_zeros(batch, classes, cells)
    if not boxes:
        return wanted_BKQ
    place = classes_BM.long().clamp(min=0)[:, :, None].expand(-1, -1, cells)
    return wanted_BKQ.scatter_reduce(1, place, spread_BMQ, "amax")


def focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the heat map's loss of every cell, shaped as it came: cells at 1 are centres, all others are not.

    Near a centre, where `wanted` is almost 1, a high score costs little. Source: Law and Deng 2018, CornerNet, eq. 1.
    """
    score = logits.sigmoid()
    centre = -((1 - score) ** ALPHA) * F.logsigmoid(logits)
    other = -((1 - wanted) ** BETA) * score**ALPHA * F.logsigmoid(-logits)
    return torch.where(wanted == 1, centre, other)


def owners(spread_BMQ: Tensor, boxes_BM4: Tensor) -> tuple[Tensor, Tensor]:
    """Return which box each cell learns, int64[B, Q], and its share in that box's loss, float32[B, Q].

    The shares of a box's cells, by their places in its bump, are 1 in all; a cell far from every centre has none. One
    in several boxes learns the smallest of them.
    """
    sizes_BMQ = torch.where(spread_BMQ > CUT, area(boxes_BM4)[:, :, None], torch.inf)
    smallest_BQ, which_BQ = sizes_BMQ.min(1)
    share_BQ = spread_BMQ.gather(1, which_BQ[:, None])[:, 0] * smallest_BQ.isfinite()
    total_BM = share_BQ.new_zeros(spread_BMQ.shape[:2]).scatter_add(1, which_BQ, share_BQ)
    return which_BQ, share_BQ / total_BM.gather(1, which_BQ).clamp(min=1e-4)


def box_loss(found_BQ4: Tensor, wanted_BQ4: Tensor, share_BQ: Tensor) -> Tensor:
    """Return the sum over a picture's boxes of 1 - GIoU, a mean over the cells near each box's centre: float32[B]."""
    return (share_BQ * (1 - giou(found_BQ4, wanted_BQ4))).sum(1)


def class_loss(logits_BKQ: Tensor, classes_BM: Tensor, which_BQ: Tensor, share_BQ: Tensor) -> Tensor:
    """Return the sum over a picture's boxes of the cross-entropy between the classes, a mean as that of the boxes.

    It tells the classes from each other and minds no cell's height above the background: that is the heat map's.
    """
    wanted_BQ = classes_BM.long().clamp(min=0).gather(1, which_BQ)
    return (share_BQ * F.cross_entropy(logits_BKQ, wanted_BQ, reduction="none")).sum(1)


@architecture("centernet", task="object-detection", source=SOURCE)
def centernet(
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
    """CenterNet, trained as TTFNet: float32[B, C, H, W] -> a heat map for each class, and a box in every cell.

    Pictures of at least 32x32 pixels. Of objects of a class whose centres are in one cell or in cells side by side, one
    is found.

    backbone: an architecture of the classification zoo: compact, resnet18, resnet34, resnet50, mobilenet_v2 or
        convnext-atto.
    backbone_options: of that architecture, where it is not compact; the pretrained model's own if they are not given.
    pretrained: folder or name of a model of that architecture, trained here, whose weights the backbone starts from.
    width: channels of the stem of the backbone `compact`; its stages have 2, 4, 6 and 8 times as many; as in the
        model of `pretrained`.
    channels: of the neck and the heads.
    stride: pixels of a side of a cell; auto is 4 where a twentieth of the training boxes is under 24 pixels, else 8.
    Source: Zhou et al. 2019; losses of Liu et al. 2019.
    Raises: SpecError where the pictures are smaller, BundleError where the model is of another architecture.
    """
    first = finest_stride(inputs) if stride == "auto" else stride
    pyramid, rebuilt = build_pyramid(
        "centernet", inputs, first, backbone=backbone, options=backbone_options, width=width, pretrained=pretrained
    )
    half = inputs.sizes[2] / 2 if inputs.sizes else 4.0 * first
    network = CenterNet(pyramid, outputs, channels=channels, scale=half)
    network.rebuild, network.note = rebuilt
    return network
