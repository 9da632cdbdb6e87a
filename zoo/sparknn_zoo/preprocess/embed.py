"""Categories as learnt vectors."""

from typing import Literal

from sparknn_magic.plugin import CategoryStep, preprocessor
from sparknn_zoo.checks import at_least
from sparknn_zoo.preprocess.columns import VECTORS, Columns, names


@preprocessor(
    "embed", task=VECTORS, main="columns", source="Guo and Berkhahn 2016, Entity Embeddings of Categorical Variables"
)
def embed(*, columns: Columns = None, width: Literal["auto"] | int = "auto", most: int = 10_000) -> CategoryStep:
    """Categories -> a vector for each that is learnt with the network; unknown ones are all 0.

    columns: the only ones it is for.
    width: numbers in a vector; auto: 1.6 n^0.56 for n categories, at most 64.
    most: categories of a column, the most frequent ones; all others count as unknown.
    Raises: SpecError where width or most is below 1.
    """
    at_least("embed", "most", most, 1)
    if width == "auto":
        return CategoryStep(most=most, columns=names(columns))
    at_least("embed", "width", width, 1)
    return CategoryStep(width=width, most=most, columns=names(columns))
