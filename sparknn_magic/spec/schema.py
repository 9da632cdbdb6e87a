"""A plugin's signature is its schema: keyword-only options -> a pydantic model -> validated options."""

import inspect
import json
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError

from sparknn_magic.errors import PluginError, SparkNNError
from sparknn_magic.plugin import Item
from sparknn_magic.spec.marks import Path
from sparknn_magic.spec.models import Step
from sparknn_magic.spec.words import more, problems


def options_model(item: Item) -> type[BaseModel]:
    """Return the model of an item's options: its keyword-only parameters, nothing else allowed.

    Help, completion and validation all read it. Raises: PluginError where an annotation cannot be understood.
    """
    return _model(item.build, item.kind, item.name)


@cache
def _model(build: Callable[..., Any], kind: str, name: str) -> type[BaseModel]:
    parameters = inspect.signature(build).parameters.values()
    options = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    docstring = inspect.getdoc(build) or ""
    try:
        hints = _hints(build, options)
        fields: dict[str, Any] = {}
        for option in options:
            default = ... if option.default is option.empty else option.default
            # A name that pydantic keeps for itself (`copy`, `json`, ...) goes by an alias.
            taken = hasattr(BaseModel, option.name) or option.name.startswith(("_", "model_"))
            description = describe_option(docstring, option.name)
            field = Field(default, alias=option.name if taken else None, description=description)
            fields[f"option_{option.name}" if taken else option.name] = (hints.get(option.name, Any), field)
        config = ConfigDict(extra="forbid", frozen=True)
        return create_model(name, __config__=config, __doc__=docstring or None, **fields)
    except (NameError, TypeError, PydanticUserError) as error:
        reason = str(error).split("\n")[0]
        raise PluginError(f"the options of the {kind} '{name}' cannot be read from its signature: {reason}") from error


def _hints(build: Callable[..., Any], options: list[inspect.Parameter]) -> dict[str, Any]:
    # Of the options alone: the other annotations may name what is only imported for type checkers.
    stub = type("stub", (), {"__annotations__": {p.name: p.annotation for p in options if p.annotation is not p.empty}})
    return get_type_hints(stub, vars(sys.modules[build.__module__]), include_extras=True)


def describe_option(docstring: str, option: str) -> str | None:
    """Return what a docstring says of an option: what follows `name:`, or the sentence with its name in backquotes."""
    text = re.split(r"\b(?:Raises|Source): ", " ".join(docstring.split()))[0].strip()
    after = re.search(rf"(?<![\w`]){re.escape(option)}: (.+?)(?:\.(?= )|\.?$)", text)
    if after:
        return after[1]
    inside = re.search(rf"(?:^|(?<=\. ))([^.]*`{re.escape(option)}`.*?)(?:\.(?= [A-Z`])|\.?$)", text)
    return inside[1] if inside else None


def validate_options(item: Item, step: Step, error: Callable[..., SparkNNError], path: Path = ()) -> dict[str, Any]:
    """Return the options that a step gives an item, checked, with every default filled in.

    `path` is where the step stands (`("model",)`), and `error(path, message, hint=, key=)` makes the error for a
    place, as `Experiment.error` does. Raises: what `error` returns.
    """
    model = options_model(item)
    base = (*path, step.name)
    given = step.options
    if step.value is not None:
        if item.main is None:
            known = list(model.model_fields)
            takes = "takes no options." if not known else f"takes its options by name, `{known[0]}: ...`."
            raise error(base, f"{item.name} {takes}")
        given = {item.main: step.value}
    try:
        # As JSON, because a cell's list may then be a tuple while 3 is still no text and 1.5 no whole number.
        options = model.model_validate_json(json.dumps(given), strict=True)
    except ValidationError as failed:
        found = problems(failed, model, given, base, item.name)
        written = list(given)
        first = min(found, key=lambda p: len(written) if p.missing else written.index(str(p.path[len(base)])))
        raise error(first.path, first.message + more(found, failed), hint=first.hint, key=first.key) from None
    return options.model_dump(by_alias=True)
