"""What may stand at a place of a cell's YAML: keys of the spec's models, plugins, options, values, tables, columns."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sparknn_magic.notebook import completion_plugins as plugins
from sparknn_magic.notebook.completion_place import Path, Place, place_in
from sparknn_magic.notebook.completion_rows import Catalog, Offer, columns_of, source_offers, sql_offers
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.models import Fraction, Step
from sparknn_magic.spec.preprocess import DATA
from sparknn_magic.spec.words import known_keys, literals, models_in

Named = tuple[str, Path]  # a kind of plugin, and the path below the place where its name stands

LISTS = {"preprocess": "preprocessor", "augment": "augmentation"}
STEPS: dict[Path, str] = {
    ("tokenizer",): "tokenizer",
    ("loss",): "loss",
    ("init",): "initializer",
    ("train", "optimizer"): "optimizer",
    ("train", "schedule"): "schedule",
}
SPLITS = ("train", "validation", "test")
COLUMNS = ("image", "text", "label", "boxes", "labels", "features", "categories", "key")  # of `data`
SHARES = ("10%", "20%")
# Keys that only some tasks know, by the first word of the task's name.
ONLY: dict[Path, tuple[str, ...]] = {
    ("augment",): ("image", "object"),
    ("tokenizer",): ("text", "token"),
    ("data", "image"): ("image", "object"),
    ("data", "shape"): ("image", "object"),
    ("data", "text"): ("text", "token"),
    ("data", "max_length"): ("text", "token"),
    ("data", "features"): ("vector",),
    ("data", "categories"): ("vector",),
    ("data", "label"): ("image", "text", "token", "vector"),
    **{("data", key): ("object",) for key in ("boxes", "labels", "format", "units", "bad_boxes")},
}
FAMILIES = ("image", "object", "text", "token", "vector")
_TRAIN = re.compile(r"""^\s+train:\s*["']?(.+?)["']?\s*$|[{,]\s*train:\s*([^,}\n]+)""", re.MULTILINE)
LOSS_NAMES = ("label", "prediction", "target", "probability", "logit")
METRIC_NAMES = ("label", "prediction")


def offers_in(body: str, cursor: int, names: Mapping[str, Any], catalog: Catalog) -> tuple[list[Offer], str]:
    """Return what may stand at the cursor, and the text before it that this takes the place of."""
    place = place_in(body, cursor)
    if place is None:
        return [], ""
    return Body(body, names, catalog).offers(place, body[cursor:])


class Body:
    """A cell's body, and what is known around it."""

    def __init__(self, text: str, names: Mapping[str, Any], catalog: Catalog):
        self.text, self.names, self.catalog = text, names, catalog
        task = re.search(r"^task:\s*[\"']?([\w-]+)", text, re.MULTILINE)
        self.task = task[1] if task is not None else None

    def offers(self, place: Place, after: str) -> tuple[list[Offer], str]:
        """Return what may stand at a place, and the text that it replaces; `after` is the body behind the cursor."""
        quote = place.text[:1] if place.text[:1] in ('"', "'") else ""
        text = place.text.removeprefix(quote)
        if (variable := re.search(r"\$\{(\w*)\Z", text)) is not None:
            return self._variables(), variable.group()
        rows = self._rows(place.path, text, after) if place.scalar else None
        found, typed = rows if rows is not None else ([], text)
        if place.key:
            found = [*self.keys(place.path, place.siblings), *found]
        if place.scalar and typed == text:  # not within a query
            known = {offer.text for offer in found}
            found += [offer for offer in self.values(place.path) if offer.text not in known]
        if "\n" in typed:  # a text of several lines: no word of it can be told
            return [], ""
        return [Offer(place.glue + offer.text, offer.kind) for offer in found], typed

    def keys(self, path: Path, siblings: Iterable[str] = ()) -> list[Offer]:
        """Return the keys that a mapping at `path` may have besides its `siblings`."""
        beside = set(siblings)
        if len(path) == 1 and path[0] in LISTS:
            return [Offer(f"- {name}", "plugin") for name in self._plugins(LISTS[str(path[0])])]
        step = self.step(path)
        if step is not None:
            return self._step_keys(path, *step, beside)
        sections: list[type[BaseModel]] = [Experiment]
        if path:
            field = field_at(path)
            if field is None or get_origin(field.annotation) is dict:
                return []
            sections = [model for model in models_in(field.annotation) if model not in (Fraction, Step)]
        keys = [(key, each) for each in sections for key in known_keys(each)]
        return [
            Offer(f"{key}:" if self._opens(each, key) else f"{key}: ", "key")
            for key, each in keys
            if key not in beside and self._relevant((*path, key))
        ]

    def values(self, path: Path) -> list[Offer]:
        """Return the single values that may stand at `path`."""
        if path == ("task",):
            return [Offer(name, "task") for name in plugins.names("task")]
        step = self.step(path)
        if step is not None:
            return self._step_values(*step)
        if path == ("train", "early_stopping", "metric"):
            return [Offer(name, "value") for name in ("validation_loss", *self._figures())]
        while path and isinstance(path[-1], int):
            path = path[:-1]
        field = field_at(path)
        if field is None:
            return []
        values = [value for value in literals(field.annotation) if isinstance(value, str)]
        values += plugins.BOOLEANS if field.annotation is bool else ()
        values += SHARES if path in (("data", "validation"), ("data", "test")) else ()
        return [Offer(value, "value") for value in values]

    def step(self, path: Path) -> Named | None:
        """Return the kind of plugin that is named at or above `path`, and the rest of the path from its name on."""
        if path[:1] == ("model",):
            return self._layer(path[2:]) if path[1:2] and isinstance(path[1], int) else ("architecture", path[1:])
        if path[:1] and path[0] in LISTS and len(path) > 1:
            return LISTS[str(path[0])], path[2:]
        return next(
            (kind_rest for at, kind in STEPS.items() if (kind_rest := _below(path, at, kind)) is not None), None
        )

    def _layer(self, rest: Path) -> Named:
        """Return the innermost layer on the way: those that others hold are numbered in an option, or in two."""
        outline = plugins.outline("layer", str(rest[0])) if rest else plugins.Outline()
        numbered = next((n for n, part in enumerate(rest) if isinstance(part, int)), 0)
        option = outline.option(str(rest[1]) if numbered == 2 else outline.main if numbered == 1 else None)
        if option is None or not option.layers:
            return "layer", rest
        inner = numbered + 1
        if option.layers == "Branches" and rest[inner : inner + 1] and isinstance(rest[inner], int):
            inner += 1
        return self._layer(rest[inner:])

    def _step_keys(self, path: Path, kind: str, rest: Path, beside: set[str]) -> list[Offer]:
        if not rest and "sql" in beside:
            return [] if "params" in beside else [Offer("params: ", "key")]
        if not rest:
            sql = [Offer("sql: ", "key")] if kind == "preprocessor" else []
            return [] if beside else [*(Offer(name, "plugin") for name in self._plugins(kind)), *sql]
        if len(rest) == 1:
            options = plugins.outline(kind, str(rest[0])).options
            return [Offer(f"{option.name}: ", "option") for option in options if option.name not in beside]
        return []

    def _step_values(self, kind: str, rest: Path) -> list[Offer]:
        if not rest:
            return [Offer(name, "plugin") for name in self._plugins(kind)]
        outline = plugins.outline(kind, str(rest[0]))
        named = str(rest[1]) if len(rest) > 1 and isinstance(rest[1], str) else outline.main
        option = outline.option(named)
        if option is None:
            return []
        if option.name == "columns":
            return self._columns()
        return [Offer(value, "value") for value in option.values]

    def _rows(self, path: Path, text: str, after: str) -> tuple[list[Offer], str] | None:
        """Return what a source of rows, a query or a column may be; None where something else stands."""
        head, last = path[:2], path[-1] if path else ""
        whole = text + after
        if path[:1] == ("preprocess",) and last == "sql":
            return sql_offers(text, whole, self.catalog, self._column_names(), DATA)
        if path[:1] == ("metrics",) and len(path) > 1:
            return sql_offers(text, "", self.catalog, [*METRIC_NAMES, *self._column_names()])
        if head == ("loss", "sql"):
            return sql_offers(text, "", self.catalog, [*LOSS_NAMES, *self._column_names()])
        if path[:1] != ("data",) or len(path) < 2:
            return None
        if head[1] in COLUMNS or (head[1] in SPLITS and last == "column"):
            return self._columns(), text
        if head[1] in SPLITS and last in (*SPLITS, "sql", "table", "frame", "auto"):
            found, typed = source_offers(text, whole, {} if last in ("sql", "table") else self.names, self.catalog)
            if last == "frame":
                found = [offer for offer in found if offer.kind == "DataFrame"]
            return found, typed
        return None

    def _columns(self) -> list[Offer]:
        return [Offer(name, "column") for name in self._column_names()]

    def _column_names(self) -> list[str]:
        """Return the columns of the training rows, as far as they are known."""
        from sparknn_magic.errors import SparkNNError
        from sparknn_magic.spec.parse import parse

        lines = re.search(r"^data:.*(?:\n(?:[ \t].*)?$)*", self.text, re.MULTILINE)
        try:
            data = parse(lines.group()).value["data"] if lines is not None else None
        except SparkNNError:  # half a line somewhere: what stands behind `train:` alone will do
            source = _TRAIN.search(self.text)
            data = {"train": source[1] or source[2]} if source is not None else None
        train = data.get("train") if isinstance(data, Mapping) else None
        if isinstance(train, Mapping):
            train = next((train[kind] for kind in ("sql", "table", "frame") if isinstance(train.get(kind), str)), None)
        return columns_of(train.strip(), self.names, self.catalog) if isinstance(train, str) else []

    def _plugins(self, kind: str) -> list[str]:
        return plugins.names(kind, self.task if kind not in ("layer", "initializer") else None)

    def _variables(self) -> list[Offer]:
        plain = str | int | float | bool | list | tuple | dict
        held = sorted(n for n, value in self.names.items() if not n.startswith("_") and isinstance(value, plain))
        return [Offer(f"${{{name}}}", "variable") for name in held if name not in ("In", "Out")]

    def _figures(self) -> list[str]:
        from sparknn_magic import registry
        from sparknn_magic.errors import SparkNNError

        try:
            figure = registry.get("task", self.task or "").build.figure  # type: ignore[attr-defined]
        except (SparkNNError, AttributeError):  # no task yet, or one without a figure of its own
            return []
        return [f"validation_{figure}"]

    def _relevant(self, path: Path) -> bool:
        family = (self.task or "").partition("-")[0]
        return family not in FAMILIES or family in ONLY.get(path, (family,))

    @staticmethod
    def _opens(model: type[BaseModel], key: str) -> bool:
        """Tell whether a key's value stands in lines of its own below it, as a rule."""
        return key in ("data", "preprocess", "augment", "metrics", "train") and model is Experiment


def field_at(path: Path) -> FieldInfo | None:
    """Return the field of the spec's models at a path; None where there is no such key."""
    models: list[type[BaseModel]] = [Experiment]
    field = None
    for part in path:
        held = [info for model in models for name, info in model.model_fields.items() if (info.alias or name) == part]
        if not held:
            return None
        field = held[0]
        models = models_in(field.annotation)
    return field


def _below(path: Path, at: Path, kind: str) -> Named | None:
    return (kind, path[len(at) :]) if path[: len(at)] == at else None
