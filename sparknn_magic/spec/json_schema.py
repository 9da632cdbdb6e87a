"""The JSON Schema of a cell, for editors: the spec's models, and the plugins that are installed, with their options.

An editor that checks YAML by it knows keys, values, names and options, and for each task which plugins serve it. What
takes more than a schema can say (sums of shares, an option that excludes another) is left to the experiment itself.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema

from sparknn_magic import registry
from sparknn_magic.plugin import Item, load_ref
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.export import Export
from sparknn_magic.spec.layers import INITIALIZERS, nested_options
from sparknn_magic.spec.models import ColumnSplit, DataSpec, Source, Spec, to_plain
from sparknn_magic.spec.preprocess import SqlStep
from sparknn_magic.spec.schema import options_model
from sparknn_magic.spec.training import EarlyStopping, TrainSpec

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TEXT: Schema = {"type": "string", "minLength": 1}
NULL: Schema = {"type": "null"}
QUALIFIED: Schema = {"type": "string", "pattern": "^[^:]+:[^:]+$"}  # package:name
MODELS = (DataSpec, TrainSpec, Source, ColumnSplit, SqlStep, EarlyStopping, Export)
STEPS = {"tokenizer": "tokenizer", "loss": "loss", "init": "initializer"}  # key -> kind
TRAIN_STEPS = {"optimizer": "optimizer", "schedule": "schedule"}
LISTS = {"preprocess": "preprocessor", "augment": "augmentation"}
BY_TASK = {"model": "architecture", "preprocess": "preprocessor", "augment": "augmentation", "loss": "loss"}
COLUMN_LISTS = ("text", "key", "features", "categories")


def cell_schema() -> Schema:
    """Return the JSON Schema of an experiment, as a cell or a YAML file writes it, with every plugin that loads."""
    kinds = ("architecture", "layer", *STEPS.values(), *TRAIN_STEPS.values(), *LISTS.values())
    items = {kind: _items(kind) for kind in kinds}
    definitions: Schema = {model.__name__: _model(model) for model in MODELS}
    for kind, found in items.items():
        definitions[kind] = _step(found, definitions)
    definitions["layers"] = {"type": "array", "items": _ref("layer"), "minItems": 1}
    _loosen(definitions)
    top = _model(Experiment)
    properties = top["properties"]
    tasks = _items("task")
    properties["task"] |= {"enum": [item.name for item in tasks]}
    properties["data"] |= _ref("DataSpec")
    properties["train"] |= {"anyOf": [_ref("TrainSpec"), NULL]}
    properties["model"] |= {"anyOf": [_ref("architecture"), _ref("layers")]}
    properties["export"] |= {"anyOf": [TEXT, _ref("Export"), NULL]}
    properties["name"] |= {"anyOf": [{"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}, NULL]}
    aggregate = {"anyOf": [TEXT, _object({"sql": TEXT}, required=["sql"])]}
    named = {"type": "object", "additionalProperties": aggregate}
    properties["metrics"] = {"description": properties["metrics"]["description"], "anyOf": [named, NULL]}
    properties |= {key: properties[key] | {"anyOf": [_ref(kind), NULL]} for key, kind in STEPS.items()}
    for key, kind in LISTS.items():
        entry = {"anyOf": [_ref(kind), _ref("SqlStep")]} if key == "preprocess" else _ref(kind)
        properties[key] |= {"anyOf": [{"type": "array", "items": entry}, NULL]}
    described = {"$schema": DIALECT, "title": "sparknn experiment", "description": "The body of `%%sparknn train`."}
    return described | top | {"allOf": [_rule(task, items) for task in tasks], "$defs": definitions}


def _items(kind: str) -> list[Item]:
    if kind == "initializer":
        return list(load_ref(INITIALIZERS).values())
    return registry.load_all([kind])[0]


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _object(properties: Mapping[str, Any], required: Iterable[str] = ()) -> Schema:
    found: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return found | ({"required": list(required)} if required else {})


def _model(model: type[Spec]) -> Schema:
    """Return the schema of one model: its own fields; what other models or plugins are in them is put in later."""
    whole = model.model_json_schema()
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    properties = {}
    for key, info in fields.items():
        written = {} if "$ref" in json.dumps(whole["properties"][key]) else dict(whole["properties"][key])
        for word in ("title", "default"):
            written.pop(word, None)
        default = None if info.is_required() else to_plain(info.default)
        written |= {"description": info.description or ""}
        properties[key] = written | ({"default": default} if default not in (None, [], {}) else {})
    return _object(properties, [key for key, info in fields.items() if info.is_required()])


def _loosen(definitions: Schema) -> None:
    """Put in what a cell may write more loosely than the models hold it, and what refers to other models."""
    data = definitions["DataSpec"]["properties"]
    source = [TEXT, _ref("Source")]
    data["train"] |= {"anyOf": source}
    share = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
    for key in ("validation", "test"):
        data[key] |= {"anyOf": [*source, _ref("ColumnSplit"), share, NULL]}
    for key in COLUMN_LISTS:
        data[key] = {"description": data[key]["description"], "anyOf": [TEXT, *data[key]["anyOf"]]}
    size = {"type": "integer", "exclusiveMinimum": 0}
    shape = {"type": "array", "items": size, "minItems": 2, "maxItems": 3}
    data["shape"] = {"description": data["shape"]["description"], "anyOf": [shape, NULL]}
    train = definitions["TrainSpec"]["properties"]
    for key, kind in TRAIN_STEPS.items():
        train[key] |= _ref(kind)
    train["freeze"]["anyOf"] = [TEXT, *train["freeze"]["anyOf"]]
    train["time_limit"]["anyOf"] = [TEXT, *train["time_limit"]["anyOf"]]
    train["early_stopping"] |= {"anyOf": [size, _ref("EarlyStopping"), NULL]}


def _step(items: list[Item], definitions: Schema) -> Schema:
    """Return the schema of a plugin with or without options: `relu`, `{resize: 32}`, `{adamw: {lr: 1e-3}}`."""
    described = {item.name: _options(item, definitions) for item in items}
    one = _object(described) | {"patternProperties": {":": True}, "minProperties": 1, "maxProperties": 1}
    return {"anyOf": [{"enum": list(described)}, one, QUALIFIED]}


def _options(item: Item, definitions: Schema) -> Schema:
    """Return the schema of what stands behind a plugin's name: its options, or the value of its main one."""
    base = f"{item.kind}.{item.name}"
    try:
        found = options_model(item).model_json_schema(by_alias=True, ref_template=f"#/$defs/{base}.{{model}}")
    except PydanticInvalidForJsonSchema:  # an option of a type of its own, which JSON has no words for
        return {"description": item.summary}
    definitions |= {f"{base}.{name}": inner for name, inner in found.pop("$defs", {}).items()}
    options = found.get("properties", {})
    for name, nested in nested_options(item).items():
        branch = {"anyOf": [_ref("layers"), _ref("layer")]}
        layers = {"type": "array", "items": branch, "minItems": 1} if nested.branches else _ref("layers")
        options[name] = {"description": options[name].get("description", nested.text), **layers}
    definitions[base] = _object(options, found.get("required", [])) | {"description": item.summary}
    alternatives = [_ref(base), *([options[item.main]] if item.main in options else [])]
    return {"description": item.summary, "anyOf": alternatives + ([] if found.get("required") else [NULL])}


def _rule(task: Item, items: Mapping[str, list[Item]]) -> Schema:
    """Return the rule of one task: the plugins that serve it, and the keys that it does not know."""
    then: Schema = {}
    for key, kind in BY_TASK.items():
        names = [item.name for item in items[kind] if item.serves(task.name)]
        named = [
            {"enum": names},
            QUALIFIED,
            {"type": "object", "propertyNames": {"anyOf": [{"enum": names}, QUALIFIED]}},
        ]
        step: Schema = {"anyOf": named}
        if key in LISTS:
            query = [{"type": "object", "required": ["sql"]}] if key == "preprocess" else []
            step = {"anyOf": [{"type": "array", "items": {"anyOf": [*named, *query]}}, NULL]}
        elif key == "model":
            step = {"anyOf": [*named, {"type": "array"}]}
        else:
            step = {"anyOf": [*named, NULL]}
        then[key] = step
    if not getattr(task.build, "tokenizes", False):
        then["tokenizer"] = NULL
    if getattr(task.build, "own_loss", False):
        then["loss"] = NULL
    return {"if": {"properties": {"task": {"const": task.name}}, "required": ["task"]}, "then": {"properties": then}}
