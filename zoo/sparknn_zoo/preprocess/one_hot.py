"""Categories as vectors of one 1 among 0s."""

from sparknn_magic.plugin import CategoryStep, preprocessor
from sparknn_zoo.checks import at_least
from sparknn_zoo.preprocess.columns import VECTORS, Columns, names


@preprocessor("one_hot", task=VECTORS, main="columns", source="Harris and Harris 2012, Digital Design, sec. 3.4.2")
def one_hot(*, columns: Columns = None, most: int = 10_000) -> CategoryStep:
    """Categories -> a vector with a 1 in the place of the category; unknown ones are all 0.

    columns: the only ones it is for.
    most: categories of a column, the most frequent ones; all others count as unknown.
    Raises: SpecError where most is below 1.
    """
    at_least("one_hot", "most", most, 1)
    return CategoryStep(width=0, most=most, columns=names(columns))
