"""The weights of a classifier that was trained here, as a detector's backbone. On the driver."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparknn_magic.errors import BundleError
from sparknn_magic.settings import models_folder

ENOUGH = 0.5  # of the backbone's numbers: what fits less is another network


@dataclass(frozen=True)
class Older:
    """A folder of a trained classifier."""

    written: str
    folder: Path
    model: dict[str, Any]  # what bundle.json says of its architecture

    def options(self, backbone: str) -> dict[str, Any]:
        """Return what it was built with. Raises: BundleError where it is another architecture than `backbone`."""
        name = self.model.get("name")
        if name != backbone:
            message = f"'{self.written}' is a {name}, and the backbone is {backbone}."
            raise BundleError(message, hint=f"Write `backbone: {name}`, or the folder of a {backbone}.")
        return dict(self.model.get("options") or {})


def open_classifier(written: str | None) -> Older | None:
    """Return the classifier in a folder, or of this name in the models folder; None for None. Raises: BundleError."""
    from sparknn_magic.bundle.folder import META, WEIGHTS, read_bundle

    if written is None:
        return None
    folder = next((f for f in (Path(written), models_folder() / written) if (f / META).is_file()), Path(written))
    meta = read_bundle(folder)
    if WEIGHTS not in meta["files"]:
        raise BundleError(f"'{written}' has no {WEIGHTS}, which training would start from.")
    return Older(written, folder, meta.get("model") or {})


def take_what_fits(network: nn.Module, older: Older, left_out: Sequence[str]) -> str:
    """Copy those weights that have the same names and shapes here; return what is not taken, for the user.

    Parts named in `left_out` are a classifier's own. Raises: BundleError where less than half fits.
    """
    from safetensors.torch import load_file

    from sparknn_magic.bundle.folder import WEIGHTS

    there = load_file(str(older.folder / WEIGHTS))
    here = {k: v for k, v in network.state_dict().items() if k.partition(".")[0] not in left_out}
    fits = {k: there[k] for k, v in here.items() if k in there and there[k].shape == v.shape}
    share = sum(v.numel() for v in fits.values()) / max(1, sum(v.numel() for v in here.values()))
    if share < ENOUGH:
        raise BundleError(
            f"the weights of '{older.written}' do not fit this backbone: {share:.0%} of it has the same shapes there.",
            hint="Train the classifier with the same options, and with as many colour channels.",
        )
    with torch.no_grad():
        own = network.state_dict()
        for name, tensor in fits.items():
            own[name].copy_(tensor)
    anew = sorted({".".join(name.split(".")[:-1]) for name in here if name not in fits})
    return f"{', '.join(anew)} of the backbone start anew: their shapes are others there." if anew else ""
