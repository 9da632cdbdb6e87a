"""What stands between an architecture's options and a detector of the transformers library: configs, files, pixels.

transformers is imported by the functions that need it: an executor that only scores does not have it.
"""

import contextlib
import importlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparknn_magic.causes import one_line
from sparknn_magic.errors import BundleError, MissingExtra, SpecError, did_you_mean
from sparknn_magic.hub import CONFIG, PIXELS, folder_of
from sparknn_magic.plugin import DetectionInputs
from sparknn_zoo.detection.transformers_families import (
    CONDITIONAL_DETR,
    DEFORMABLE_DETR,
    FAMILIES,
    YOLOS,
    Family,
    Sizes,
    places_of,
)
from sparknn_zoo.text.encoder_parts import NOT_SHAPES, library, listed, quiet, read_json, read_mapping

# Layers that know classes: of pretrained files with another number of classes they start anew.
OF_CLASSES = ("class_embed", "enc_score_head", "denoising_class_embed", "class_labels_classifier")
CONSTANTS = ("decoder.up", "decoder.reg_scale")  # D-FINE's, which are parameters by name
GROUPS = 32  # of Deformable DETR's norms
STATISTICS = "num_batches_tracked"  # of batch norms that are frozen in one place and not in the other

# Sizes, and what configs call them.
SIZES = {
    "layers": {"decoder_layers", "num_hidden_layers"},
    "width": {"d_model", "hidden_size"},
    "heads": {"decoder_attention_heads", "encoder_attention_heads", "num_attention_heads"},
    "queries": {"num_queries", "num_detection_tokens"},
    "backbone": {"backbone_config"},
}

Pixels = tuple[tuple[float, ...], tuple[float, ...]]  # mean and deviation of each channel, of pixels of 0..1


@dataclass(frozen=True)
class Wanted:
    """What the options of an architecture say of its network."""

    pretrained: str | None = None
    config: str | Mapping[str, Any] | None = None
    layers: int | None = None
    width: int | None = None
    heads: int | None = None
    queries: int | None = None
    backbone: int | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes that are given."""
        names = ("layers", "width", "heads", "queries", "backbone")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def read_files(family: Family, wanted: Wanted) -> tuple[dict[str, Any], Path | None]:
    """Return the settings that are written down, in the files or in the cell, and the folder of the weights.

    Raises: BundleError for files that cannot be used; SpecError for settings that cannot go together.
    """
    folder = folder_of(wanted.pretrained, texts=False) if wanted.pretrained is not None else None
    written = read_json(folder / CONFIG) if folder is not None else {}
    written |= read_mapping(wanted.config)
    kind = written.setdefault("model_type", family.kind)
    if kind != family.kind:
        names = {each.kind: each.name for each in FAMILIES}
        hint = f"Of transformers' detectors there are {', '.join(names.values())}.{did_you_mean(str(kind), names)}"
        if kind in names:
            hint = f"Write `model: {{{names[kind]}: ...}}`, with the same options."
        raise SpecError(f"{family.name} is no name for a network of the type '{kind}'.", hint=hint)
    for name in wanted.sizes:
        if folder is not None or SIZES[name] & set(written):
            where = f"'{wanted.pretrained}'" if folder is not None else "config"
            raise SpecError(f"{family.name}: {name} comes from {where}.", hint=f"Leave {name} out.")
    return written, folder


def make_config(
    family: Family, inputs: DetectionInputs, outputs: int, wanted: Wanted, written: Mapping[str, Any], pretrained: bool
) -> Any:
    """Return transformers' config of the network. Raises: SpecError where its values cannot be."""
    library(family.name)
    from huggingface_hub.errors import StrictDataclassError
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    made = {} if pretrained else family.fresh(inputs, _sizes(family, inputs, wanted))
    kind = CONFIG_MAPPING[family.kind]
    own = kind.attribute_map
    settings = {own.get(name, name): value for each in (made, written) for name, value in each.items()}
    try:
        with quiet():
            config = kind.from_dict(settings)
    except ImportError as error:
        raise _without_timm(family) from error
    except (StrictDataclassError, TypeError, ValueError, KeyError, AttributeError) as error:
        reason = one_line(error)
        raise SpecError(f"{family.name}: transformers does not take this config: {reason}") from error
    config.num_labels = outputs
    # Files of the older families say nothing of it, and had frozen ones. What starts from nothing must learn them.
    config.freeze_backbone_batch_norms = getattr(config, "freeze_backbone_batch_norms", pretrained)
    _check(family, inputs, config)
    return config


def _sizes(family: Family, inputs: DetectionInputs, wanted: Wanted) -> Sizes:
    """Return the sizes of a network that starts from nothing. Raises: SpecError for a width that heads cannot share."""
    width = wanted.width or family.width
    heads = wanted.heads or max(1, width // family.head)
    least = 32 if family is DEFORMABLE_DETR else 4  # groups of its norms; sines and cosines of two coordinates
    if width % heads or width % least:
        message = f"{family.name}: a width of {width} cannot be shared by {heads} heads."
        if not width % heads:
            message = f"{family.name}: a width of {width} is no multiple of {least}."
        raise SpecError(message, hint=f"Take a multiple of {math.lcm(heads, least)}.")
    queries = min(family.queries, places_of(family, inputs)) if family.places else family.queries
    layers, backbone = wanted.layers or family.layers, wanted.backbone or family.backbone
    if layers < 2 and family not in (CONDITIONAL_DETR, YOLOS):
        raise SpecError(f"{family.name} has 2 layers at least.", hint="Write `layers: 2`.")
    return Sizes(layers, width, heads, wanted.queries or queries, backbone)


def _check(family: Family, inputs: DetectionInputs, config: Any) -> None:
    """Raise SpecError where the pictures have other channels than the network, or too few places for its queries."""
    backbone = getattr(config, "backbone_config", None)
    channels = getattr(backbone if backbone is not None else config, "num_channels", inputs.channels)
    if channels != inputs.channels:
        step = {1: "grayscale", 3: "rgb"}.get(channels)
        message = f"{family.name} reads {channels} channels here, and the pictures have {inputs.channels}."
        raise SpecError(message, hint=f"Add `{step}` to `preprocess:`." if step else None)
    if family is DEFORMABLE_DETR and config.d_model == GROUPS and max(inputs.height, inputs.width) <= family.stride:
        raise SpecError(
            f"{family.name}: a width of {GROUPS} needs pictures of more than {family.stride} pixels: in smaller ones "
            "its norms have one number a group.",
            hint=f"Take a width of {2 * GROUPS}, or larger pictures, such as `letterbox: 320`.",
        )
    places = places_of(family, inputs)
    if family.places and config.num_queries > places:
        raise SpecError(
            f"{family.name}: {config.num_queries} queries are chosen among the {places} places of a picture of "
            f"{inputs.width} x {inputs.height} pixels.",
            hint="Take larger pictures, such as `letterbox: 320`, or fewer queries.",
        )


def load(family: Family, config: Any, folder: Path | None, written: str | None) -> tuple[nn.Module, tuple[str, ...]]:
    """Return transformers' detector, and the names of its weights that start anew, though there are files.

    Raises: BundleError where weights other than those of classes are missing or of other shapes; MissingExtra.
    """
    library(family.name)
    from safetensors import SafetensorError
    from transformers.models.auto.modeling_auto import MODEL_FOR_OBJECT_DETECTION_MAPPING

    kind: Any = MODEL_FOR_OBJECT_DETECTION_MAPPING[type(config)]
    # The kind of attention is left to the library: not all backbones have the one that the detector has.
    how: dict[str, Any] = {"dtype": torch.float32}
    anew: tuple[str, ...] = ()
    with quiet():
        try:
            if folder is None:
                model = kind._from_config(config, **how)
            else:
                model, found = kind.from_pretrained(
                    folder,
                    config=config,
                    use_safetensors=True,
                    local_files_only=True,
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                    **how,
                )
                anew = _not_taken(str(written), config, found)
        except ImportError as error:
            raise _without_timm(family) from error
        except (SafetensorError, OSError, RuntimeError, ValueError) as error:
            if folder is None:
                reason = one_line(error)
                raise SpecError(f"{family.name}: transformers does not take this config: {reason}") from error
            reason = one_line(error)
            raise BundleError(f"the weights of '{written}' cannot be read: {reason}") from error
    if folder is None and family is YOLOS:
        _draw_tokens(model, config.initializer_range)
    # What learns must not depend on whether there were files: the library freezes parts of some backbones, by names
    # that they do not have, and forgets it when it reads files.
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.endswith(CONSTANTS))
    if not config.freeze_backbone_batch_norms and family is not YOLOS:
        _thaw(backbone_of(model))
    return model, anew


def backbone_of(model: Any) -> nn.Module:
    """Return the part of a detector that gives feature maps."""
    return model.model.backbone if hasattr(model.model, "backbone") else model.model.conv_encoder


def _not_taken(written: str, config: Any, found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of weights that the files do not have as they are here. Raises: BundleError."""
    differing = {name if isinstance(name, str) else name[0] for name in found["mismatched_keys"]}
    missing = {name for name in found["missing_keys"] if not name.endswith(STATISTICS)}
    beyond = sorted(name for name in missing | differing if not any(part in name for part in OF_CLASSES))
    if beyond:
        raise BundleError(
            f"'{written}' has no weights that fit for {listed(beyond)}, which a {config.model_type} network has.",
            hint="Its config.json may belong to other weights.",
        )
    return tuple(sorted(missing | differing))


def _draw_tokens(model: Any, std: float) -> None:
    """Give YOLOS' tokens and places their first values: transformers leaves them at 0, where all queries are one."""
    for name, parameter in model.named_parameters():
        if name.endswith(("detection_tokens", "position_embeddings", "cls_token")):
            nn.init.trunc_normal_(parameter, std=std)


def _thaw(backbone: nn.Module) -> None:
    """Let the backbone's batch norms learn, which transformers has frozen."""
    for parent in list(backbone.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__.endswith("FrozenBatchNorm2d"):
                norm = nn.BatchNorm2d(len(child.weight))  # type: ignore[arg-type]
                norm.load_state_dict(child.state_dict(), strict=False)  # it has no count of batches
                setattr(parent, name, norm)


@contextlib.contextmanager
def open_batch(network: nn.Module) -> Iterator[None]:
    """Let the batch axis stay dynamic while a network is traced for export.

    Some of these modules ask for `len(tensor)`, which is a plain number, and so fixes the batch; its shape does not.
    """
    names = vars(importlib.import_module(type(network).__module__))
    names["len"] = lambda x: x.shape[0] if isinstance(x, torch.Tensor) else len(x)
    try:
        yield
    finally:
        del names["len"]


def _without_timm(family: Family) -> MissingExtra:
    return MissingExtra(
        f"{family.name}: the backbone of these files is one of the timm library, which is not installed.",
        hint="Install timm, or take files whose backbone is transformers' own.",
    )


def pixels_of(folder: Path | None) -> Pixels | None:
    """Return how the files want pixels of 0..1 normalized: mean and deviation of each channel; None: they say nothing.

    Raises: BundleError where preprocessor_config.json cannot be read.
    """
    if folder is None or not (folder / PIXELS).is_file():
        return None
    said = read_json(folder / PIXELS)
    mean, std = said.get("image_mean"), said.get("image_std")
    if not said.get("do_normalize", True) or mean is None or std is None:
        return (0.0,), (1.0,)
    return tuple(map(float, mean)), tuple(map(float, std))


def plain(config: Any) -> dict[str, Any]:
    """Return a config as plain JSON values, without what says where it comes from and what it was for."""
    return _without_origin(json.loads(config.to_json_string(use_diff=False)))


def _without_origin(settings: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in settings.items() if name not in NOT_SHAPES}
    return {name: _without_origin(value) if isinstance(value, dict) else value for name, value in kept.items()}
