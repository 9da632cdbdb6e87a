"""What a dry run says of the columns of a vector task and of what is done to them."""

from collections.abc import Sequence

from sparknn_magic.data.vectors.job import Feature, number_names
from sparknn_magic.data.vectors.look import Inspected
from sparknn_magic.data.vectors.plan import VectorPlan

MOST = 12  # columns that are named


def details(plan: VectorPlan, found: Inspected) -> list[tuple[str, str]]:
    """Return lines `name, text`: numbers, nulls, categories, each step, and what is learnt."""
    numbers = [_number(f) for f in found.features if f.kind != "category"]
    names = number_names(found.features)
    nulls = [f"{name} {n:,}" for name, n in zip(names, found.missing, strict=True) if n]
    lines = [
        ("numbers", _list(numbers)),
        ("nulls", _list(nulls)),
        ("categories", _list(_categories(plan, found))),
        *((each.name, _of(each.columns, found.features)) for each in plan.steps),
        ("learnt", f"a number, mean {found.mean:.6g}, standard deviation {found.std:.6g}" if plan.regression else ""),
    ]
    return [(name, text) for name, text in lines if text]


def _number(feature: Feature) -> str:
    return feature.name if feature.kind == "number" else f"{feature.name} ({feature.width})"


def _categories(plan: VectorPlan, found: Inspected) -> list[str]:
    lines = []
    for i, feature in enumerate(plan.categories):
        kept, distinct, width = len(found.categories[i]), found.distinct[i], found.inputs.embedded[i]
        values = f"{kept:,} value{'' if kept == 1 else 's'}" + (f" of {distinct:,}" if distinct > kept else "")
        lines.append(f"{feature.name} ({values}, {f'embedded in {width}' if width else 'one-hot'})")
    return lines


def _of(columns: Sequence[str], features: Sequence[Feature]) -> str:
    every = [f.name for f in features if f.kind != "category"]
    if set(every) <= set(columns):
        return "all columns" if len(columns) > len(every) else "all numbers"
    return _list(list(columns))


def _list(names: list[str]) -> str:
    more = len(names) - MOST
    return ", ".join(names[:MOST]) + (f" and {more} more" if more > 0 else "")
