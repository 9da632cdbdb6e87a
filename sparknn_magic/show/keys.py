"""What a cell can say, as text: every key with what it takes, its default and its meaning."""

import textwrap
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sparknn_magic.show.words import PAGE, table, value_text, width
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.models import Spec, to_plain
from sparknn_magic.spec.words import describe_field, models_in

TITLE = "what a cell can say"
SECTIONS = ("data", "train", "train.early_stopping", "export")  # keys whose own keys are listed


def keys_help() -> str:
    """Return all keys of an experiment, section by section: name, default, what it takes, what it means."""
    blocks = [f"{TITLE}\n{'=' * len(TITLE)}", _table(Experiment, "")]
    for section in SECTIONS:
        blocks.append(f"{section}\n{_table(_model(section), f'{section}.')}")
    notes = (
        "`model`, `tokenizer`, `loss`, `train.optimizer` and `train.schedule` take a plugin's name, alone or with\n"
        "its options: `model: {resnet18: {width: 32}}`. `preprocess`, `augment` and a `model` of layers are lists of\n"
        "these. `%sparknn zoo` lists the plugins, `%sparknn help NAME` explains one."
    )
    return "\n\n".join([*blocks, notes]) + "\n"


def _model(section: str) -> type[BaseModel]:
    model: type[BaseModel] = Experiment
    for key in section.split("."):
        model = models_in(model.model_fields[key].annotation)[0]
    return model


def _table(model: type[BaseModel], base: str) -> str:
    rows = [["key", "default", "takes", "meaning"]]
    found = list(_rows(model, base))
    room = PAGE - 2 - sum(max(width(row[n]) for row in [*rows, *found]) + 2 for n in range(3))
    for *cells, meaning in found:
        first, *more = textwrap.wrap(meaning, max(room, 40)) or [""]
        rows += [[*cells, first], *(["", "", "", line] for line in more)]
    return table(rows, "llll", indent="  ")


def _rows(model: type[BaseModel], base: str) -> Iterator[list[str]]:
    for name, field in model.model_fields.items():
        takes = "" if any(issubclass(held, Spec) for held in models_in(field.annotation)) else describe_field(field)
        yield [base + (field.alias or name), _default(field), textwrap.shorten(takes, 40), field.description or ""]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    plain = to_plain(field.default)
    if plain is None or plain == [] or isinstance(plain, dict):
        return ""
    return value_text(plain)
