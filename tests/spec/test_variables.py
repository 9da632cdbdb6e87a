"""`${name}` is a Python variable, found by look-up alone."""

from pathlib import PurePosixPath

import numpy as np
import pandas as pd
import pytest

from sparknn_magic.errors import SpecError
from sparknn_magic.spec import Experiment

HEAD = "task: t\ndata:\n  train: {train}\nmodel: m\n"


def parse(rest: str = "", train: str = "products", **variables) -> Experiment:
    return Experiment.parse(HEAD.replace("{train}", train) + rest, variables=variables)


def message(rest: str = "", train: str = "products", **variables) -> str:
    with pytest.raises(SpecError) as caught:
        parse(rest, train, **variables)
    return str(caught.value)


def test_a_variable_is_a_whole_value_of_any_plain_type():
    experiment = parse(
        "train: {epochs: ${n}, optimizer: {adamw: ${options}}}\naugment: ${steps}\nexport: '${folder}'\n",
        n=np.int64(3),
        options={"lr": np.float32(0.5), "betas": (0.9, 0.99), "fused": np.True_},
        steps=["flip", {"crop": 4}],
        folder=PurePosixPath("models/a"),
    )
    assert experiment.train.epochs == 3
    assert experiment.train.optimizer.options == {"lr": 0.5, "betas": [0.9, 0.99], "fused": True}
    assert experiment.to_dict()["augment"] == ["flip", {"crop": 4}]
    assert experiment.export.folder == "models/a"


def test_a_variable_s_own_braces_are_not_looked_up_again():
    assert parse("export: ${a}", a="${b}", b="x").export.folder == "${b}"


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("export: ${fodler}", "line 5, column 9: there is no variable named 'fodler'. Did you mean 'folder'?"),
        (
            "export: models/${folder}",
            "line 5, column 9: export has '${' inside a longer text; only a whole value is replaced.\n"
            "Build the text in Python and write `${name}` alone.",
        ),
        (
            "export: ${folder.name}",
            "line 5, column 9: `${folder.name}` is not a variable's name; no attributes, no calls.\n"
            "Give the value a name in Python first, and write that name.",
        ),
        (
            "train: {epochs: ${thing}}",
            "line 5, column 17: `${thing}` has the type object; "
            "only text, numbers, true/false, lists and dicts can stand here.",
        ),
        (
            "train: {epochs: ${folder}}",
            "line 5, column 17: train.epochs must be a whole number greater than 0, not 'x'.",
        ),
        ("train: ${keys}", "line 5, column 8: `${keys}` has the key 1; a key must be text."),
        (
            "train: {epochs: ${huge}}",
            "line 5, column 17: train.epochs is too large a whole number; at most 9223372036854775807 fits.",
        ),
        ("train: {clip_norm: ${inf}}", "line 5, column 20: train.clip_norm is inf; it must be a finite number."),
    ],
)
def test_a_variable_that_cannot_stand_there_is_answered_at_its_place(rest, words):
    assert message(rest, folder="x", thing=object(), keys={1: 2}, inf=float("inf"), huge=10**5000) == words


def test_a_query_with_braces_is_shown_the_two_ways_out():
    assert message(train="SELECT * FROM t WHERE day = '${day}'", day="x") == (
        "line 3, column 10: data.train has '${' inside a longer text; only a whole value is replaced.\n"
        "Build the text in Python and write `${name}` alone, or give SQL `:name` and its value under `params`."
    )


def test_a_dataframe_stands_where_rows_are_read():
    frame = pd.DataFrame({"image": [], "label": []})
    for train in ("${products}", "{frame: products}", "{frame: ${products}}"):
        experiment = parse(train=train, products=frame)
        assert experiment.data.train.kind == "frame"
        assert experiment.data.train.dataframe is frame
        assert experiment.to_dict()["data"]["train"] == {"frame": "products"}
        assert Experiment.load(experiment, overrides=["train.epochs=3"]).data.train.dataframe is frame


def test_a_bare_name_may_be_a_table_or_a_variable_and_both_are_kept():
    frame = pd.DataFrame()
    source = parse(train="products", products=frame).data.train
    assert (source.kind, source.value) == ("auto", "products")
    assert source.dataframe is frame
    assert parse(train="products", products=3).data.train.dataframe is None


def test_a_dataframe_in_a_python_call_has_no_name():
    frame = pd.DataFrame()
    experiment = Experiment.load({"task": "t", "data": {"train": frame}, "model": "m"})
    assert experiment.data.train.dataframe is frame
    assert experiment.to_dict()["data"]["train"] == {"frame": "<DataFrame>"}
    assert Experiment.load(experiment.to_dict()).data.train.dataframe is None


def test_a_dataframe_elsewhere_is_refused():
    frame = pd.DataFrame()
    assert message("export: ${df}", df=frame) == (
        "line 5, column 9: `${df}` is a DataFrame, and rows are not read from export.\n"
        "A DataFrame can stand under data.train, data.validation or data.test."
    )


def test_a_dataframe_s_wrong_name_suggests_the_nearest():
    assert message(train="{frame: prodcts}", products=pd.DataFrame(), production=3) == (
        "line 3, column 18: there is no DataFrame named 'prodcts' in the notebook. Did you mean 'products'?"
    )
