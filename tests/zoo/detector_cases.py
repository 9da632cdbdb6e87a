"""Tiny detectors of transformers, scenes for them, and files as transformers itself writes them."""

import torch
import transformers

from sparknn_magic import registry
from sparknn_magic.plugin import DetectionInputs

FAMILIES = ["d_fine", "deim_v2", "rt_detr_v2", "deformable_detr", "conditional_detr", "yolos"]
INPUTS = DetectionInputs(3, 64, 96)
CLASSES = 3
TINY = {"layers": 2, "width": 32, "heads": 2, "queries": 12}
OPTIONS = {name: TINY | {"backbone": 8} for name in FAMILIES} | {"yolos": TINY}


def build(name, *, inputs=INPUTS, outputs=CLASSES, **options):
    return registry.get("architecture", name).build(inputs, outputs, **options)


def tiny(name, *, inputs=INPUTS, **options):
    torch.manual_seed(0)
    network = build(name, inputs=inputs, **(OPTIONS[name] | options)).train()
    # Statistics of pictures: with first ones all places look alike, and chance decides which the queries are.
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network(pictures(4, inputs, seed=9))
    for norm in norms:
        norm.momentum = 0.1
    return network.eval()


def pictures(rows=3, inputs=INPUTS, *, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(rows, inputs.channels, inputs.height, inputs.width, generator=draw)


def boxes():
    """Two boxes, none, and one: float32[3, 2, 5] of class, x1, y1, x2, y2 in pixels; class -1 is none."""
    none = [-1.0] * 5
    return torch.tensor(
        [
            [[0, 10, 10, 40, 50], [2, 50, 20, 90, 60]],
            [none, none],
            [[1, 0, 0, 96, 64], none],
        ]
    )


def labels_by_hand():
    """The same boxes as transformers takes them: middle, width and height as shares of 96 x 64."""
    return [
        {
            "class_labels": torch.tensor([0, 2]),
            "boxes": torch.tensor([[25 / 96, 30 / 64, 30 / 96, 40 / 64], [70 / 96, 40 / 64, 40 / 96, 40 / 64]]),
        },
        {"class_labels": torch.zeros(0, dtype=torch.long), "boxes": torch.zeros(0, 4)},
        {"class_labels": torch.tensor([1]), "boxes": torch.tensor([[0.5, 0.5, 1.0, 1.0]])},
    ]


def write_files(name, folder, *, classes=5, **changes):
    """Save transformers' own network with drawn weights, as a repository of the hub has it; return the network."""
    ours = tiny(name)
    torch.manual_seed(1)
    config = type(ours.config).from_dict(ours.rebuild["config"] | changes)
    config.num_labels = classes
    theirs = transformers.AutoModelForObjectDetection.from_config(config).eval()
    theirs.save_pretrained(folder)
    return theirs
