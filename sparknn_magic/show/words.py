"""Numbers, sizes and labels as people read them; columns that line up. Standard library only."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MISSING = "-"
PAGE = 98  # columns of help: a notebook's output beside the list of files has them, and breaks longer lines anywhere
MOST_LAYERS = 12  # of a model that is a list of layers, named in a line
TELLING_ROWS = 1000  # from which on their time says something of the speed
_JOINERS = "\u200c\u200d"  # invisible, and part of how Persian and some emoji are spelled


def count(n: float | None) -> str:
    """1234567 -> '1,234,567'."""
    return MISSING if n is None else f"{n:,.0f}"


def figure(x: float | None) -> str:
    """0.91234 -> '0.9123'."""
    return MISSING if x is None else f"{x:.4f}"


def number(x: float | None) -> str:
    """Four digits of a number of any size: 0.00012345 -> '0.0001234', 52.3071 -> '52.31', 123456.7 -> '123,457'."""
    if x is None:
        return MISSING
    if 1000 <= abs(x) < 1e12:
        return f"{x:,.0f}"
    return f"{x:.4g}"


def custom_figures(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value and a remark of each of the cell's own metrics, in its order."""
    found = []
    for name, value in (metrics.get("custom") or {}).items():
        if isinstance(value, bool):
            text = "true" if value else "false"
        else:
            text = count(value) if isinstance(value, int) else number(value)
        found.append((shorten(name, 32), text, "the SQL loss" if name == "loss" else "SQL"))
    return found


def score_figures(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value and a remark of what the scores are worth, where the metrics say it.

    The calibration error, and the accuracy where the tenth of the rows that the model is least sure of gets no answer.
    """
    if metrics.get("calibration_error") is None:
        return []
    found = [("calibration error", figure(metrics["calibration_error"]), "mean gap of score and accuracy")]
    if point := coverage_point(metrics):
        name = f"accuracy at {percent(point['coverage'], 0)} coverage"
        found.append(
            (name, figure(point["accuracy"]), f"of the rows with a score of {number(point['threshold'])} or more")
        )
    return found


def vector_figures(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value and a remark of what is known of vectors without labels."""
    left_out = f"not counted: {count(metrics['errors'])} that cannot be read" if metrics["errors"] else ""
    found = [
        ("rows", count(metrics["rows"]), left_out),
        ("dimension", count(metrics["dimension"]), "numbers of a vector"),
        ("time", duration(metrics["seconds"]), "for these rows, the start of the workers among it"),
    ]
    if metrics["rows"] >= TELLING_ROWS:
        found.append(("speed", f"{count(metrics['rows_per_second'])} rows/s", "in that time"))
    return found


def lengths_text(meta: Mapping[str, Any]) -> str | None:
    """Return how long the texts are that a model was made with, in tokens, and how many of them are cut."""
    if not meta.get("lengths"):
        return None
    median, most, longest = meta["lengths"]
    cut = f"; {count(meta['cut'])} of them cut" if meta.get("cut") else ""
    return f"{count(median)} tokens in the median, {count(most)} at 95 %, {count(longest)} at most{cut}"


def averages_of(metrics: Mapping[str, Any]) -> list[str]:
    """Return the averages over the classes that the metrics have; the micro one where rows have many labels."""
    return [name for name in ("micro", "macro", "weighted") if name in metrics]


def labels_baseline(metrics: Mapping[str, Any]) -> str:
    """Return what answering without a look at the row gives, where a row may have any number of labels."""
    return f"always the most frequent set of labels: {figure(metrics['baseline_accuracy'])}"


COVERAGE = 0.9  # the share of rows that shall get an answer


def coverage_point(metrics: Mapping[str, Any]) -> Mapping[str, float] | None:
    """Return the point of the coverage curve that leaves out most rows of those that keep nine tenths, if any does."""
    points = [p for p in metrics.get("coverage") or [] if COVERAGE - 1e-9 <= p["coverage"] < 1]
    return min(points, key=lambda p: p["coverage"]) if points else None


def measure_name(name: str) -> str:
    """Return how people write the figure that an epoch reports: accuracy, MAE."""
    return {"mae": "MAE", "token_accuracy": "token accuracy", "picture_ap50": "AP50"}.get(name, name)


def measure_text(name: str, value: float | None) -> str:
    """Return its value: accuracy as a percentage, others in their own units."""
    return percent(value) if name in ("accuracy", "token_accuracy") else number(value)


def percent(x: float | None, digits: int = 1) -> str:
    """0.91234 -> '91.2%'. Only what is all, or nothing, is written as 100% or 0%."""
    if x is None:
        return MISSING
    text = f"{100 * x:.{digits}f}"
    least = 10.0**-digits
    if float(text) == 100 and x < 1:
        text = f"{100 - least:.{digits}f}"
    if float(text) == 0 and x > 0:
        text = f"<{least:.{digits}f}"
    return text + "%"


def amount(n: float | None) -> str:
    """11173962 -> '11.2 M'."""
    if n is None:
        return MISSING
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if n >= factor * 0.9995:
            return f"{n / factor:.3g}{unit}" if n < factor * 999.5 else f"{n / factor:,.0f}{unit}"
    return f"{n:.0f}"


def size(n: float | None) -> str:
    """44712345 bytes -> '44.7 MB'."""
    return MISSING if n is None else (amount(n) + "B" if n >= 999.5 else f"{n:.0f} bytes")


def duration(seconds: float | None) -> str:
    """200 -> '3 min 20 s'."""
    if seconds is None:
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plural(n: int, one: str, many: str | None = None) -> str:
    """(1, 'row') -> '1 row'; (2, 'class', 'classes') -> '2 classes'."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def plain(text: object) -> str:
    """Return a label on one line: line breaks, control and direction marks as escapes, blanks at the ends quoted."""
    label = "".join(_visible(c) for c in str(text))
    return f"'{label}'" if label != label.strip() or not label else label


def _visible(c: str) -> str:
    hidden = unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in _JOINERS
    return c.encode("unicode_escape").decode() if hidden else c


def width(text: str) -> int:
    """Return how many columns of a terminal the text takes: 2 for a Chinese character or an emoji."""
    return sum(_cells(c) for c in text)


def _cells(c: str) -> int:
    if unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def shorten(text: object, limit: int) -> str:
    """Return a label of at most `limit` columns, cut at the end with an ellipsis."""
    label = plain(text)
    if width(label) <= limit:
        return label
    kept, used = "", 0
    for c in label:
        used += _cells(c)
        if used > limit - 1:
            break
        kept += c
    return kept.rstrip() + "…"


def table(rows: Sequence[Sequence[str]], align: str, *, indent: str = "") -> str:
    """Return rows of texts as columns two blanks apart. `align` has a letter for each column: l or r."""
    if not rows:
        return ""
    widths = [max(width(row[i]) for row in rows) for i in range(len(align))]
    return "\n".join(
        (indent + "  ".join(_pad(cell, w, a) for cell, w, a in zip(row, widths, align, strict=True))).rstrip()
        for row in rows
    )


def _pad(cell: str, columns: int, align: str) -> str:
    blank = " " * (columns - width(cell))
    return blank + cell if align == "r" else cell + blank


def options_text(options: Mapping[str, Any]) -> str:
    """{'size': 32} -> 'size: 32'."""
    return ", ".join(f"{name}: {value_text(value)}" for name, value in options.items())


def value_text(value: Any) -> str:
    """Return a plain value as YAML writes it on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + options_text(value) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(value_text(v) for v in value) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    return plain(value)


def step_text(step: Mapping[str, Any]) -> str:
    """{'name': 'resize', 'options': {'size': 32}} -> 'resize {size: 32}'."""
    name, options = plain(step.get("name", step.get("ref", "?"))), step.get("options") or {}
    if name == "layers" and "layers" in options:
        return _layers_text(options)
    given = {key: value for key, value in options.items() if value is not None}  # null: as if it were not there
    return f"{name} {{{options_text(given)}}}" if given else name


def preprocess_texts(said: Mapping[str, Any]) -> list[str]:
    """Return the preprocessing of a model or a plan, a text for each step: plugins and SQL in their order."""
    steps = [step_text(s) if isinstance(s, Mapping) else plain(s) for s in said.get("preprocess") or []]
    queries = said.get("queries") or []
    for n, query in reversed(list(enumerate(queries, 1))):
        left_out = f" (a prediction leaves out {plain(query['skipped'])})" if query["skipped"] else ""
        steps.insert(query["before"], f"SQL step {n}: {shorten(plain(query['sql']), 160)}{left_out}")
    return steps


def queries_note(said: Mapping[str, Any]) -> str | None:
    """Return what the model's SQL function does not do, where its SQL steps change what goes in; else None."""
    changing = [f"{n}" for n, query in enumerate(said.get("queries") or [], 1) if query["changes"]]
    if not changing:
        return None
    name, steps = plain(said.get("name") or "NAME"), " and ".join(changing)
    return f"the SQL function {name}(...) runs no SQL step: give it rows that step {steps} has run on, or use predict"


def _layers_text(options: Mapping[str, Any]) -> str:
    """Return a model that is a list of layers: '4 layers (flatten, dense, relu, dense)'."""
    names = [plain(layer["name"]) for layer in options["layers"]]
    shown = names if len(names) <= MOST_LAYERS else [*names[: MOST_LAYERS - 2], "…", names[-1]]
    init = f", drawn by {step_text(options['init'])}" if options.get("init") else ""
    return f"{plural(len(names), 'layer')} ({', '.join(shown)}){init}"


def near(path: str | Path | None) -> str:
    """Return a path as it is seen from the current folder: relative where it lies below it."""
    if path is None:
        return MISSING
    here = Path.cwd()
    return str(Path(path).relative_to(here) if Path(path).is_relative_to(here) else path)


def shape_text(shape: Mapping[str, Any]) -> str:
    """{'height': 28, 'width': 28, 'channels': 1} -> '28 x 28, grey'."""
    colour = {1: "grey", 3: "colour (RGB)"}.get(shape.get("channels"), f"{shape.get('channels')} channels")  # type: ignore[arg-type]
    return f"{shape.get('height')} x {shape.get('width')}, {colour}"


def input_text(shape: Mapping[str, Any]) -> str:
    """Return what an architecture was built for: '28 x 28, grey', '8 numbers, 2 categories', '24 tokens of 3,000'."""
    if "vocabulary" in shape:
        return f"{count(shape['length'])} tokens of {count(shape['vocabulary'])}"
    if "numbers" not in shape:
        return shape_text(shape)
    categories = len(shape.get("categories") or ())
    parts = [plural(shape["numbers"], "number")] if shape["numbers"] else []
    parts += [plural(categories, "category", "categories")] if categories else []
    return ", ".join(parts)


def yaml_text(value: Any) -> str:
    """Return plain values as YAML text, keys in their order, tuples as lists."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml, out = YAML(), StringIO()
    yaml.width = 100
    yaml.allow_unicode = True
    yaml.dump(_plain_values(value), out)
    return out.getvalue().removesuffix("...\n")


def _plain_values(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain_values(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_values(v) for v in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
