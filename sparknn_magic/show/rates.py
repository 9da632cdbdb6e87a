"""What a learning-rate sweep has found, as a figure, text and HTML. Knows no IPython."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from sparknn_magic.show import figures
from sparknn_magic.show.html import scoped
from sparknn_magic.show.markup import Markup, data_uri, el
from sparknn_magic.show.words import duration, plural

CURVE = Markup(
    """
.sparknn .on-dark { display: none; }
@media (prefers-color-scheme: dark) {
  body:not([data-jp-theme-light]) .sparknn .on-dark { display: inline; }
  body:not([data-jp-theme-light]) .sparknn .on-light { display: none; }
}
body[data-jp-theme-light="false"] .sparknn .on-dark { display: inline; }
body[data-jp-theme-light="false"] .sparknn .on-light { display: none; }
"""
)


def rate_figure(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float | None,
    *,
    dark: bool = False,
) -> Figure:
    """Return the loss by the learning rate, on a logarithmic scale, with the suggested rate marked.

    `losses` are those of the steps, `smoothed` their running mean, which the suggestion comes from.
    """
    theme = figures.DARK if dark else figures.LIGHT
    with figures._style(theme):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.subplots()
        figures._frame(axes, theme, title="Loss by learning rate")
        axes.set_xscale("log")
        axes.plot(rates, losses, ".", color=theme.soft, markersize=3.5, alpha=0.6, label="each step")
        axes.plot(rates, smoothed, "-", color=theme.first, linewidth=2.0, label="smoothed")
        if suggestion is not None:
            name = f"suggested: {rate_text(suggestion)}"
            axes.axvline(suggestion, color=theme.second, linewidth=1.6, linestyle=(0, (4, 2)), label=name)
        low, high = min(smoothed), max(smoothed[: max(1, len(smoothed) // 2)])
        room = max(high - low, abs(high) * 0.05, 1e-9)
        # What comes after the loss has left its first value upwards would flatten all that matters.
        axes.set_ylim(low - 0.15 * room, high + 0.6 * room)
        axes.set_xlabel("learning rate")
        axes.legend(frameon=False, loc="best", labelcolor=theme.ink)
    return figure


def rate_text(rate: float) -> str:
    """0.0012345 -> '1.2e-3': two digits, as a cell writes it."""
    power = math.floor(math.log10(rate))
    digits = f"{rate / 10.0**power:.1f}"
    return f"{digits}e{power}" if digits != "10.0" else f"1.0e{power + 1}"


def rates_text(rates: Sequence[float], suggestion: float | None, seconds: float) -> str:
    """Return what a terminal shows of a sweep."""
    tried = f"{plural(len(rates), 'step')} from {rate_text(rates[0])} to {rate_text(rates[-1])} in {duration(seconds)}"
    if suggestion is None:
        return f"no learning rate found: the loss has not fallen anywhere ({tried})"
    return f"suggested learning rate: {rate_text(suggestion)}, where the loss falls fastest ({tried})"


def rates_html(light: Figure, dark: Figure, words: str) -> str:
    """Return the words and the picture, which follows the notebook's light or dark theme."""
    alt = "Loss by learning rate"
    drawn = [
        el("img", src=data_uri(figures.figure_svg(f, transparent=True).encode(), "image/svg+xml"), alt=alt, cls=cls)
        for f, cls in ((light, "on-light"), (dark, "on-dark"))
    ]
    return scoped(el("style", CURVE), el("div", words, cls="title"), el("div", *drawn))
