"""Precision by recall of a detector's classes, as a matplotlib `Figure` in the style of `figures`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sparknn_magic.show.figures import DARK, LIGHT, _frame, _style
from sparknn_magic.show.lettering import lettered

RECALLS = np.linspace(0, 1, 101)
MOST_NAMED = 7  # classes up to which each line has a name, a colour and a style of its own
# Okabe and Ito 2008, without yellow, which a white page hides; black is the page's own ink.
HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STYLES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))


def precision_recall(metrics: Mapping[str, Any], *, dark: bool = False) -> Figure:
    """Return the precision at each recall, at IoU 0.5: a line for each class, and a thick one for their mean.

    `metrics["curves"]` has for each class with boxes the precision at recalls 0, 0.01, ... 1. Of more than seven
    classes the lines have no names, and the mean alone stands out.
    """
    theme = DARK if dark else LIGHT
    names = list(metrics["curves"])
    lines = np.array([metrics["curves"][name] for name in names], dtype=float)
    with _style(theme):
        figure = Figure(figsize=(9.2, 3.9), layout="constrained")
        axes = figure.subplots()
        _frame(axes, theme)
        named, families = lettered(names, 28, numbered=True)
        few = len(names) <= MOST_NAMED
        for n, line in enumerate(lines):
            if few:
                hue, style = (*HUES, theme.ink)[n % MOST_NAMED], STYLES[n % MOST_NAMED]
                axes.plot(RECALLS, line, color=hue, linestyle=style, linewidth=1.6, label=named[n])
            else:
                axes.plot(RECALLS, line, color=theme.soft, alpha=0.35, linewidth=0.9)
        if len(names) > 1:
            axes.plot(RECALLS, lines.mean(0), color=theme.ink, linewidth=2.6, label=f"mean of {len(names)} classes")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        axes.legend(
            frameon=False,
            labelcolor=theme.ink,
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            prop={"family": families, "size": 9},
        )
    return figure
