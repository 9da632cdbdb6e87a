"""What a cell of the task object-detection has where it says nothing. Standard library only: it is read on the driver.

Few pictures, each seen many times and never twice alike: small batches, an average of the weights, and changes of size
and place that show every object at many scales, however large it is in the photos. Muon learns more from each of them
than AdamW.
"""

from typing import Any

DEFAULTS: dict[str, Any] = {
    "augment": [
        {"mosaic": {"p": 0.3}},
        {"scale_jitter": {"scale": [0.6, 1.6]}},
        "random_horizontal_flip",
        {"color_jitter": {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.0}},
    ],
    "train": {
        "epochs": 100,
        "batch_size": 4,
        "optimizer": {
            "muon": {
                "lr": 1.6e-2,
                "adjust_lr_fn": "match_rms_adamw",
                "adamw_lr": 4e-3,
                "weight_decay": 0.05,
                "betas": [0.9, 0.999],
                "eps": 1e-8,
            }
        },
        "schedule": {"one_cycle": {"pct_start": 0.15}},
        "ema": 0.995,
        "clip_norm": 10.0,
    },
}
