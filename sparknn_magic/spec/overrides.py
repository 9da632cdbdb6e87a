"""`key.path=value` words of the magic line and the shell, applied to the plain values of a cell."""

from collections.abc import Iterable
from typing import Any

from sparknn_magic.errors import SpecError, nearest
from sparknn_magic.spec.marks import Marks, Path, cut, dotted
from sparknn_magic.spec.parse import MAX_DEPTH, parse_value

# Where a step may stand as a bare name: `model: resnet18` is `model: {resnet18: {}}`.
STEPS: tuple[Path, ...] = (("model",), ("init",), ("loss",), ("train", "optimizer"), ("train", "schedule"))


def apply(words: Iterable[str], value: dict[str, Any], marks: Marks) -> None:
    """Set each word's value in `value`, in place, and its mark to the word.

    Keys that no experiment has are found later, by the models, which then name the word.
    Raises: SpecError that quotes the word.
    """
    for word in words:
        path, new = _read(word)
        _set(cut(word, 80), path, new, value, marks)


def _read(word: str) -> tuple[Path, Any]:
    keys, equals, text = word.partition("=")
    parts = [part.strip() for part in keys.split(".")]
    word = cut(word, 80)
    if not equals or not all(parts):
        raise SpecError(f"in `{word}`: write key.path=value, for example `train.epochs=3`.")
    if len(parts) > MAX_DEPTH:
        raise SpecError(f"in `{word}`: this path has more than {MAX_DEPTH} parts.")
    try:
        new = parse_value(text)
    except SpecError as error:
        raise SpecError(f"in `{word}`: {error.message}", hint=error.hint) from None
    return tuple(int(p) if p.isdecimal() and p.isascii() and len(p) < 10 else p for p in parts), new


def _set(word: str, path: Path, new: Any, value: dict[str, Any], marks: Marks) -> None:
    at: Any = value
    here: Path = ()
    for depth, part in enumerate(path):
        key: Any = part
        if isinstance(at, list):
            if not isinstance(part, int) or part >= len(at):
                raise SpecError(f"in `{word}`: {_no_item(here, part, at)}")
            inner = at[part]
        else:
            key = str(part)
            _check_step(word, here, path[depth:], at)
            inner = at.get(key)
        here = (*here, key)
        if depth == len(path) - 1:
            at[key] = new
            marks.set_from(here, word)
        elif not isinstance(inner, dict | list):
            at[key] = _opened(word, here, path, inner, marks)
        at = at[key]


def _opened(word: str, here: Path, path: Path, inner: Any, marks: Marks) -> dict[str, Any]:
    """Return the mapping that takes the place of nothing, or of a bare step name, on the way down."""
    wanted = str(path[len(here)])
    if inner is None:
        if here not in marks.keys:
            marks.set_from(here, word)
        return {}
    if _is_step(here) and isinstance(inner, str):
        if inner != wanted:
            raise _other_step(word, here, inner, path[len(here) :])
        written = marks.find(here)
        if written is not None:
            marks.keys[*here, inner] = written
        return {inner: None}
    raise SpecError(f"in `{word}`: {dotted(here)} is a single value and has no '{cut(wanted)}' to set.")


def _check_step(word: str, here: Path, rest: Path, at: dict[str, Any]) -> None:
    # A second name beside the first would be a step of two names: say what is there instead.
    if _is_step(here) and at and str(rest[0]) not in at:
        raise _other_step(word, here, next(iter(at)), rest)


def _is_step(here: Path) -> bool:
    if here in STEPS:
        return True
    # Of the layers of a model also those inside others.
    listed = here[:1] == ("model",) or (len(here) == 2 and here[0] in ("preprocess", "augment"))
    return listed and isinstance(here[-1], int)


def _other_step(word: str, here: Path, name: str, rest: Path) -> SpecError:
    at, wanted = dotted(here), str(rest[0])
    if nearest(wanted, [name]):
        hint = f"Did you mean `{dotted((*here, name, *rest[1:]))}`?"
    elif len(rest) == 1:  # an option without the name it belongs to
        hint = f"An option of '{name}' is set by `{at}.{name}.{wanted}=...`."
    else:
        hint = f"`{at}={wanted}` chooses another."
    return SpecError(f"in `{word}`: {at} is '{cut(name)}', not '{cut(wanted)}'.", hint=hint)


def _no_item(here: Path, key: str | int, items: list[Any]) -> str:
    if isinstance(key, int):
        counted = "no items" if not items else f"items 0 to {len(items) - 1}" if len(items) > 1 else "only item 0"
        return f"{dotted(here)} has {counted}, not {key}."
    names = [next(iter(i)) if isinstance(i, dict) and i else str(i) for i in items]
    close = nearest(key, names)
    number = names.index(close) if close else 0
    example = dotted((*here, number, names[number])) if names else dotted((*here, 0))
    return f"{dotted(here)} is a list; name its items by number, as in `{example}`."
