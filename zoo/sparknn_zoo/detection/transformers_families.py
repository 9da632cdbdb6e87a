"""The families of transformers' detectors: their sizes, and the config of a network that starts from nothing."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sparknn_magic.plugin import DetectionInputs

STRIDES = (8, 16, 32)  # of the feature maps that a backbone gives
STEM = 16  # channels of HGNetV2's first layers


@dataclass(frozen=True)
class Sizes:
    """The sizes of a network that starts from nothing."""

    layers: int
    width: int
    heads: int
    queries: int
    backbone: int


@dataclass(frozen=True)
class Family:
    """One kind of detector: its name in transformers, its sizes where a cell gives none, and its first config."""

    name: str  # of the architecture
    kind: str  # transformers' `model_type`
    fresh: Callable[[DetectionInputs, Sizes], dict[str, Any]]
    stride: int = 32  # sides of a picture are filled up to a multiple of it
    queries: int = 100
    layers: int = 3
    width: int = 128
    head: int = 32  # dimensions of an attention head
    backbone: int = 32  # channels of the backbone's first stage
    places: bool = False  # queries are chosen among the places of the feature maps: there must be as many
    softmax: bool = False  # the classes and "nothing" share one probability; else each class has its own


def _stages(first: int) -> list[int]:
    return [first, 2 * first, 4 * first, 8 * first]


def _hgnet(inputs: DetectionInputs, first: int) -> dict[str, Any]:
    """HGNetV2 with a block a stage, its channels in the proportions of its smallest variant, B0."""
    out = _stages(first)
    return {
        "model_type": "hgnet_v2",
        "num_channels": inputs.channels,
        "embedding_size": STEM,
        "hidden_sizes": out,
        "depths": [1, 1, 1, 1],
        "stem_channels": [inputs.channels, STEM, STEM],
        "stage_in_channels": [STEM, *out[:3]],
        "stage_mid_channels": [max(8, each // 4) for each in out],
        "stage_out_channels": out,
        "stage_num_blocks": [1, 1, 1, 1],
        "stage_numb_of_layers": [3, 3, 3, 3],
        "use_learnable_affine_block": True,
        "out_indices": [2, 3, 4],
    }


def _resnet(inputs: DetectionInputs, first: int, **more: Any) -> dict[str, Any]:
    return {
        "num_channels": inputs.channels,
        "embedding_size": first,
        "hidden_sizes": _stages(first),
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
        **more,
    }


def _real_time(inputs: DetectionInputs, sizes: Sizes, backbone: dict[str, Any]) -> dict[str, Any]:
    """Settings that RT-DETR and what was made of it have in common."""
    return {
        "backbone_config": backbone,
        "freeze_backbone_batch_norms": False,
        "encoder_in_channels": _stages(sizes.backbone)[1:],
        "feat_strides": list(STRIDES),
        "encoder_hidden_dim": sizes.width,
        "encoder_ffn_dim": 4 * sizes.width,
        "encoder_attention_heads": sizes.heads,
        "hidden_expansion": 0.5,
        "d_model": sizes.width,
        "decoder_in_channels": [sizes.width] * len(STRIDES),
        "decoder_ffn_dim": 4 * sizes.width,
        "decoder_attention_heads": sizes.heads,
        "decoder_layers": sizes.layers,
        "num_queries": sizes.queries,
    }


def _d_fine(inputs: DetectionInputs, sizes: Sizes) -> dict[str, Any]:
    return _real_time(inputs, sizes, _hgnet(inputs, sizes.backbone)) | {"depth_mult": 1 / 3}


def _rt_detr_v2(inputs: DetectionInputs, sizes: Sizes) -> dict[str, Any]:
    backbone = _resnet(inputs, sizes.backbone, model_type="rt_detr_resnet", out_indices=[2, 3, 4])
    return _real_time(inputs, sizes, backbone)


def _detr(inputs: DetectionInputs, sizes: Sizes, outputs: list[str]) -> dict[str, Any]:
    """Settings that the DETRs with an encoder of several layers have in common."""
    return {
        "backbone_config": _resnet(inputs, sizes.backbone, model_type="resnet", out_features=outputs),
        "freeze_backbone_batch_norms": False,
        "num_channels": inputs.channels,
        "d_model": sizes.width,
        "encoder_layers": sizes.layers,
        "encoder_ffn_dim": 4 * sizes.width,
        "encoder_attention_heads": sizes.heads,
        "decoder_layers": sizes.layers,
        "decoder_ffn_dim": 4 * sizes.width,
        "decoder_attention_heads": sizes.heads,
        "num_queries": sizes.queries,
        "auxiliary_loss": True,
        "dropout": 0.0,
    }


def _deformable_detr(inputs: DetectionInputs, sizes: Sizes) -> dict[str, Any]:
    stages = ["stage2", "stage3", "stage4"]
    return _detr(inputs, sizes, stages) | {"num_feature_levels": len(stages), "with_box_refine": True}


def _conditional_detr(inputs: DetectionInputs, sizes: Sizes) -> dict[str, Any]:
    return _detr(inputs, sizes, ["stage4"])


def _yolos(inputs: DetectionInputs, sizes: Sizes) -> dict[str, Any]:
    return {
        "num_channels": inputs.channels,
        "image_size": [filled_up(inputs.height, YOLOS.stride), filled_up(inputs.width, YOLOS.stride)],
        "patch_size": YOLOS.stride,
        "hidden_size": sizes.width,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": 4 * sizes.width,
        "num_detection_tokens": sizes.queries,
    }


D_FINE = Family("d_fine", "d_fine", _d_fine, places=True)
DEIM_V2 = Family("deim_v2", "deimv2", _d_fine, places=True)
RT_DETR_V2 = Family("rt_detr_v2", "rt_detr_v2", _rt_detr_v2, places=True)
DEFORMABLE_DETR = Family("deformable_detr", "deformable_detr", _deformable_detr)
CONDITIONAL_DETR = Family("conditional_detr", "conditional_detr", _conditional_detr)
YOLOS = Family("yolos", "yolos", _yolos, stride=16, layers=6, width=192, softmax=True)
FAMILIES = (D_FINE, DEIM_V2, RT_DETR_V2, DEFORMABLE_DETR, CONDITIONAL_DETR, YOLOS)


def filled_up(side: int, stride: int) -> int:
    """Return the next multiple of the stride."""
    return math.ceil(side / stride) * stride


def places_of(family: Family, inputs: DetectionInputs) -> int:
    """Return how many places the feature maps have."""
    height, width = (filled_up(side, family.stride) for side in (inputs.height, inputs.width))
    return sum((height // stride) * (width // stride) for stride in STRIDES)
