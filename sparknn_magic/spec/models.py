"""What an experiment says, as frozen models: the keys, their types, bounds, units and defaults."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    PrivateAttr,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from sparknn_magic.spec.values import Frame
from sparknn_magic.spec.words import Words, show

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=100), Words("a name")]
Scalar = str | int | float | bool | None
SOURCE_KINDS = ("auto", "sql", "table", "path", "frame", "coco", "voc", "yolo")
BOX_KINDS = ("coco", "voc", "yolo")  # annotated pictures: the sources that bring true boxes of their own

_PERCENT = re.compile(r"([-+]?[0-9]*\.?[0-9]+) *%")


def wrong(message: str, *, hint: str | None = None, at: tuple[str | int, ...] = (), key: bool = False) -> Exception:
    """Return an error, in the user's words, for a validator to raise; `at` is a place below the value."""
    return PydanticCustomError("spec", "{message}", {"message": message, "hint": hint, "at": at, "key": key})


class Spec(BaseModel):
    """The base of every model here: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True, validate_by_name=True
    )

    def to_plain(self) -> Any:
        """Return the value as a cell would write it."""
        fields = type(self).model_fields
        values = {info.alias or name: getattr(self, name) for name, info in fields.items()}
        return {key: to_plain(value) for key, value in values.items() if value is not None}


def to_plain(value: Any) -> Any:
    """Return str, int, float, bool, None, list or dict for a value of a model."""
    if isinstance(value, Spec):
        return value.to_plain()
    if isinstance(value, Mapping):
        return {k: to_plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(v) for v in value]
    return value


class Step(Spec):
    """A plugin by name, with options or one bare value: `relu`, `{resize: 32}`, `{adamw: {lr: 1e-3}}`."""

    name: Name = Field(description="the plugin's name; `%sparknn zoo` lists them")
    options: dict[str, Any] = Field(default={}, description="its options by name")
    value: Any = Field(default=None, description="a bare value, which sets the plugin's main option")

    def to_plain(self) -> Any:
        """Return `name`, `{name: value}` or `{name: options}`."""
        if self.value is not None:
            return {self.name: to_plain(self.value)}
        return {self.name: to_plain(self.options)} if self.options else self.name


def read_step(value: Any) -> Any:
    """Turn what stands in a cell into a `Step`."""
    if isinstance(value, Step):
        return value
    if isinstance(value, str) and 0 < len(value) <= 100:
        return Step(name=value)
    if not isinstance(value, Mapping) or not value:
        raise wrong("{path} must be a name, or one name with its options, not {value}.")
    if len(value) > 1:
        name, *others = value
        hint = f"The options of '{name}' are indented under it, or stand in braces: `{name}: {{option: value}}`."
        raise wrong(f"{{path}} takes one name; '{others[0]}' is a second.", hint=hint, at=(others[0],), key=True)
    ((name, inner),) = value.items()
    if not 0 < len(name) <= 100:
        raise wrong("{path} must have a name of 1 to 100 characters.")
    if inner is None or isinstance(inner, Mapping):
        return Step(name=name, options=dict(inner or {}))
    return Step(name=name, value=inner)


AStep = Annotated[Step, BeforeValidator(read_step), Words("a name, or one name with its options")]


def read_steps(value: Any) -> Any:
    """Take a list of steps; say how a list is written where something else stands."""
    if isinstance(value, str | Mapping):
        raise wrong("{path} must be a list: start each step with '- '.")
    return value


Steps = Annotated[tuple[AStep, ...], BeforeValidator(read_steps), Field(strict=False)]


def read_model(value: Any) -> Any:
    """Turn what stands under `model:` into a `Step`, or a list of layers into a tuple of them."""
    if not isinstance(value, list | tuple):
        if isinstance(value, Mapping) and len(value) > 1:
            name, other, *_ = value
            hint = f"The options of '{name}' are indented under it; in a list of layers each line starts with '- '."
            raise wrong(f"{{path}} takes one name; '{other}' is a second.", hint=hint, at=(other,), key=True)
        return read_step(value)
    if not value:
        raise wrong("{path} has no layers; write each on a line of its own, such as `- conv2d: 32`.")
    return tuple(_read_layer(layer, n) for n, layer in enumerate(value))


def _read_layer(value: Any, n: int) -> Any:
    try:
        return read_step(value)
    except PydanticCustomError as error:
        said: dict[str, Any] = dict(error.context or {})
        message = said["message"].replace("{path}", f"{{path}}.{n}").replace("{value}", show(value))
        raise wrong(message, hint=said["hint"], at=(n, *said["at"]), key=said["key"]) from None


Model = Annotated[
    Step | tuple[Step, ...], BeforeValidator(read_model), Words("an architecture's name, or a list of layers")
]


class Source(Spec):
    """Where rows come from. A bare text is SQL, a table, a view, a DataFrame's variable or a path: `auto`."""

    auto: Text | None = Field(
        default=None, description="SQL, a table, a view, a DataFrame's name or a path, told apart later"
    )
    sql: Text | None = Field(default=None, description="a query; `:name` stands for a value of `params`")
    table: Text | None = Field(default=None, description="the name of a table or view")
    path: Text | None = Field(
        default=None, description="a folder or file, local or of any file system that Spark reads"
    )
    frame: Annotated[Frame, WithJsonSchema({"type": "string"})] | None = Field(
        default=None, description="the name of a DataFrame in the notebook"
    )
    coco: Text | None = Field(
        default=None, description="a COCO JSON file of pictures with boxes; the pictures lie beside it, or in `images`"
    )
    voc: Text | None = Field(default=None, description="a folder of pictures with Pascal VOC's XML files")
    yolo: Text | None = Field(default=None, description="a folder of pictures with YOLO's text files")
    images: Text | None = Field(default=None, description="the folder of the pictures of coco, voc or yolo")
    params: dict[str, Scalar] = Field(default={}, description="values of the query's named parameters")
    format: Literal["auto", "parquet", "images"] = Field(default="auto", description="what is at the path")

    _variable: Any = PrivateAttr(None)

    @model_validator(mode="after")
    def _one_source(self) -> "Source":
        given = [kind for kind in SOURCE_KINDS if getattr(self, kind) is not None]
        if not given:
            kinds = "sql, table, path, frame, coco, voc or yolo"
            raise wrong(f"{{path}} does not say where the rows are; write one of {kinds}.")
        if len(given) > 1:
            message = f"{{path}} has both '{given[0]}' and '{given[1]}'; write one of them."
            raise wrong(message, at=(given[1],), key=True)
        if self.params and given[0] != "sql":
            raise wrong("{path} has 'params', which only a query ('sql') takes.", at=("params",), key=True)
        if self.format != "auto" and given[0] != "path":
            raise wrong("{path} has a 'format', which only a 'path' takes.", at=("format",), key=True)
        if self.images is not None and given[0] not in BOX_KINDS:
            raise wrong("{path} has 'images', which only coco, voc and yolo take.", at=("images",), key=True)
        return self

    @property
    def kind(self) -> Literal["auto", "sql", "table", "path", "frame", "coco", "voc", "yolo"]:
        """Say which of them it is."""
        return next(kind for kind in SOURCE_KINDS if getattr(self, kind) is not None)  # type: ignore[misc]

    @property
    def value(self) -> str:
        """The query, name or path; of a DataFrame, the name of its variable, or `<DataFrame>`."""
        found = getattr(self, self.kind)
        return (found.name or "<DataFrame>") if isinstance(found, Frame) else found

    @property
    def dataframe(self) -> Any:
        """The DataFrame that was given, or for `auto` the notebook's variable of that name; else None."""
        return self.frame.frame if self.frame is not None else self._variable

    def to_plain(self) -> Any:
        """Return the bare text, or a mapping; a DataFrame by its name."""
        if self.kind == "auto":
            return self.auto
        plain: dict[str, Any] = {self.kind: self.value}
        if self.params:
            plain["params"] = dict(self.params)
        if self.format != "auto":
            plain["format"] = self.format
        if self.images is not None:
            plain["images"] = self.images
        return plain


def read_source(value: Any) -> Any:
    """Turn a bare text or a DataFrame into the mapping that `Source` is read from."""
    if isinstance(value, Frame):
        return {"frame": value}
    if isinstance(value, str):
        if not value.strip():
            raise wrong("{path} is empty; write SQL, a table, a path or a DataFrame's name.")
        return {"auto": value.strip()}
    if isinstance(value, Source | Mapping):
        frame = value.get("frame") if isinstance(value, Mapping) else None
        return {**value, "frame": Frame(frame)} if isinstance(value, Mapping) and isinstance(frame, str) else value
    raise wrong("{path} must be SQL, a table, a path or a DataFrame's name, not {value}.")


class Fraction(Spec):
    """A share of the training rows that is set aside, chosen by a hash of each row's key."""

    share: Annotated[float, Field(gt=0, lt=1)] = Field(description="share of the rows, between 0 and 1")

    def to_plain(self) -> str:
        """Return it as a percentage: `10%`."""
        return f"{float(f'{self.share * 100:.12g}'):.12g}%"


def read_fraction(value: Any) -> Any:
    """Turn `10%` or 0.1 into a `Fraction`."""
    if isinstance(value, Fraction):
        return value
    percent = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    share = float(percent[1]) / 100 if percent else value
    if isinstance(value, int) or (isinstance(value, float) and share >= 1):
        raise wrong(f"{{path}} must be a percentage such as 10%, not {value}.")
    if not 0 < share < 1:
        raise wrong("{path} must be more than 0% and less than 100%, not {value}.")
    return Fraction(share=share)


class ColumnSplit(Spec):
    """The rows of the training source whose column holds this value."""

    column: Text = Field(description="the column that says which side a row is on")
    equals: str | int | bool = Field(alias="is", description="the value that puts a row on this side")


def _which_split(value: Any) -> str:
    if isinstance(value, Fraction | int | float) or (isinstance(value, str) and _PERCENT.fullmatch(value.strip())):
        return "<fraction>"
    if isinstance(value, ColumnSplit) or (isinstance(value, Mapping) and ("column" in value or "is" in value)):
        return "<column>"
    return "<source>"


ASource = Annotated[Source, BeforeValidator(read_source)]
# The tags stand in pydantic's error paths, where `words` drops them.
Split = Annotated[
    Annotated[ASource, Tag("<source>")]
    | Annotated[Fraction, BeforeValidator(read_fraction), Tag("<fraction>")]
    | Annotated[ColumnSplit, Tag("<column>")],
    Discriminator(_which_split),
]


def read_columns(value: Any) -> Any:
    """Turn one column's name into a list of one."""
    return [value] if isinstance(value, str) else value


def read_shape(value: Any) -> Any:
    """Turn [height, width] into [height, width, 1]."""
    return [*value, 1] if isinstance(value, list | tuple) and len(value) == 2 else value


Shape = tuple[PositiveInt, PositiveInt, Literal[1, 3, 4]]
SHAPE_WORDS = Words("[height, width] or [height, width, channels] in pixels, with 1, 3 or 4 channels")


class DataSpec(Spec):
    """The rows, their split, and the columns that matter."""

    train: ASource = Field(description="the training rows", examples=["SELECT image, label FROM products"])
    validation: Split | None = Field(
        default=Fraction(share=0.1),
        description="rows that choose the best epoch: a share, a source of their own, a column; null: none",
    )
    test: Split | None = Field(default=None, description="rows that only the final figures are computed on")
    image: Text = Field(default="image", description="the column of pictures")
    text: Annotated[tuple[Text, ...], Field(min_length=1, max_length=2, strict=False)] | None = Field(
        default=None,
        description="the column of texts, or two columns whose texts are read as a pair; `text` if not given",
    )
    max_length: Literal["auto"] | Annotated[int, Field(ge=2)] | None = Field(
        default=None,
        description="tokens of a text that the network reads, longer ones are cut; auto: as many as 99.5 % of the "
        "training texts have, and at most 512 (2048 where a token is a character)",
    )
    features: Annotated[tuple[Text, ...], Field(min_length=1, strict=False)] | None = Field(
        default=None, description="the columns of numbers and categories; all but label, key and split where not given"
    )
    categories: Annotated[tuple[Text, ...], Field(min_length=1, strict=False)] | None = Field(
        default=None, description="columns of whole numbers or booleans that are categories, as columns of text are"
    )
    label: Text = Field(default="label", description="the column of what is learnt: classes, or a number")
    boxes: Text | None = Field(
        default=None, description="the column of a picture's boxes, an array of four numbers each; `boxes` if not given"
    )
    labels: Text | None = Field(
        default=None, description="the column of the boxes' classes, an array of as many; `labels` if not given"
    )
    format: Literal["xyxy", "xywh", "cxcywh"] | None = Field(
        default=None,
        description="a box's numbers: two corners (if not given); left, top, width, height; or middle, width, height",
    )
    units: Literal["pixels", "fractions"] | None = Field(
        default=None, description="of the boxes' numbers: pixels of the picture (if not given), or shares of its sides"
    )
    bad_boxes: Literal["clip", "drop", "fail"] | None = Field(
        default=None,
        description="boxes beyond the picture are cut at its edges (clip, if not given) or left out (drop), those "
        "without area, not finite or without a label left out; fail: an error",
    )
    key: Annotated[tuple[Text, ...], Field(min_length=1, strict=False)] | None = Field(
        default=None,
        description="columns whose hash decides a row's side of the split; the picture or the features if not given",
    )
    shape: Annotated[Shape, Field(strict=False), SHAPE_WORDS] | None = Field(
        default=None, description="[height, width, channels] in pixels, for pictures in flat arrays"
    )

    _columns = model_validator(mode="before")(lambda value: _columns(value))

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns of texts."""
        return self.text or ("text",)

    @model_validator(mode="after")
    def _consistent(self) -> "DataSpec":
        if self.image == self.label:
            at = ("label",) if "label" in self.model_fields_set else ("image",)
            raise wrong(f"data.image and data.label are both the column '{self.image}'.", at=at)
        boxes, labels = self.boxes or "boxes", self.labels or "labels"
        for role in ("boxes", "labels"):
            others = {"boxes": boxes, "labels": labels, "image": self.image}
            mine = others.pop(role)
            same = next((name for name, other in others.items() if other == mine), None)
            if same is not None and role in self.model_fields_set:
                raise wrong(f"data.{role} and data.{same} are both the column '{mine}'.", at=(role,))
        shares = [split.share for split in (self.validation, self.test) if isinstance(split, Fraction)]
        if sum(shares) >= 1:
            raise wrong("data.validation and data.test together leave no rows to train on.", at=("test",))
        return self


def _columns(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    readers = {
        "text": read_columns,
        "key": read_columns,
        "features": read_columns,
        "categories": read_columns,
        "shape": read_shape,
    }
    return {k: readers[k](v) if k in readers else v for k, v in value.items()}
