"""Which SQL is a loss, and what a person reads where it is not."""

import pytest

from sparknn_magic.errors import SpecError
from sparknn_magic.spec import Experiment
from sparknn_magic.spec.expression import read_expression
from sparknn_magic.spec.expression_tree import KNOWN, ExpressionError
from sparknn_magic.spec.resolve import check_loss, resolve

PETS = ("cat", "dog", "eel")


def message(text, learns=None, classes=()):
    with pytest.raises(ExpressionError) as caught:
        read_expression(text).bind(learns, classes)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "-ln(probability(label)) * CASE WHEN label = 'cat' THEN 2.0 ELSE 1.0 END",
        "-ln(probability(label)) * CASE label WHEN 'cat' THEN 2 WHEN 'dog' THEN 3 END",
        "greatest(0, 1 + logit(prediction) - logit(label))",
        "-pow(1 - probability(target), 2) * log2(probability(2)) / nullif(price, 0)",
        "if(label IN ('cat', 'dog') AND NOT price IS NULL, try_divide(probability('eel'), price), probability(0))",
        "probability(label) -- the rows of the class\n * 2",
        "CAST(prediction <> label AS DOUBLE) + probability(label) * 1e-3 + 2.5D + 3L",
        "probability(coalesce(nullif(label, 'cat'), 'dog')) * mod(price, 3) % pi()",
        "(price BETWEEN 1 AND 2 OR price <=> stock) IS NULL AND true = false".join(("if(", ", probability(0), 1)")),
    ],
)
def test_an_expression_on_the_list_is_taken(text):
    read_expression(text).bind("class", PETS)


@pytest.mark.parametrize(
    "text",
    ["pow(prediction - target, 2)", "huber(prediction - label, 2.5) * coalesce(weight, 1)", "abs(target - prediction)"],
)
def test_numbers_are_compared_by_prediction_and_target(text):
    read_expression(text).bind("number")


def test_columns_are_named_once_in_the_order_of_the_text_whatever_their_case():
    found = read_expression("probability(label) * Price + stock / price + `unit price` + `target`")
    assert found.columns == ("Price", "stock", "unit price", "target")


def test_our_names_in_backquotes_are_columns():
    assert read_expression("probability(label) * `label`").columns == ("label",)
    assert read_expression("probability(LABEL) * Target").columns == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "-lnn(probability(label))",
            "there is no function 'lnn' here. Did you mean 'ln'? (column 2 of the SQL)\nA loss knows abs,",
        ),
        (
            "probability(label)\n  + foo(3)",
            "there is no function 'foo' here. Did you mean 'floor'? (line 2, column 5 of the SQL)",
        ),
        (
            "avg(probability(label))",
            "avg() is over many rows, and this is an expression of one row. (column 1 of the SQL)",
        ),
        ("round(probability(label), 2)", "round takes 1 argument, not 2. (column 1 of the SQL)"),
        ("probability(label) LIKE 'a'", "`PROBABILITY(label) LIKE 'a'` is not allowed here. (column 1 of the SQL)"),
        ("2 * (SELECT 1)", "`(SELECT 1)` is not allowed here."),
        ("probability(label) twice", "`twice` is one word too many. (column 20 of the SQL)"),
        ("probability(label), 2", "one expression is expected, not several. (column 21 of the SQL)"),
        ("probability(label) FROM t", "an expression is expected here, not a query."),
        ("SELECT 1", "an expression is expected here, not a query."),
        ("probability(label); DROP TABLE t", "an expression is expected here, not a query."),
        ("2 * ", "the SQL cannot be read near `*`: something is missing or extra. (column 3 of the SQL)"),
        ("'cat", "a quote or a comment in this SQL is never closed."),
        ("", "there is no SQL here."),
        ("(" * 4000 + "1" + ")" * 4000, "this SQL is nested more than 100 levels deep."),
        ("+".join(["probability(0)"] * 300), "this SQL is nested more than 100 levels deep."),
        ("probability(0) + " * 1000, "this SQL has 17,000 characters; at most 10,000 are read."),
        ("1e999 * probability(0)", "1e999 is too large a number."),
        ("a.b * probability(0)", "`a.b` is no column of the row. (column 1 of the SQL)\nSelect it in the query"),
        ("CAST(price AS INT) * probability(0)", "CAST makes doubles here, and nothing else."),
        ("prediction = label", "a loss takes a number, and this is a condition."),
        ("probability(0) AND true", "AND takes a condition, and this is a number."),
        ("if(probability(0) > 1, 'cat', 2)", "CASE mixes a class name with a number."),
        ("probability(0) * if(label > 'cat', 1, 2)", "`>` takes a number, and this is a class name."),
        ("probability(1.5)", "probability(x) takes a class: label, prediction, target, 'a name' or its number from 0."),
        ("CASE WHEN prediction = label THEN 0 ELSE 1 END", "this loss has no slope in the network's outputs"),
        ("round(probability(label))", "this loss has no slope in the network's outputs"),
        ("price * 2", "this loss has no slope in the network's outputs"),
    ],
)
def test_what_is_not_a_loss_is_refused_with_its_place(text, words):
    assert words in message(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "probability('dgo')",
            "there is no class 'dgo'. Did you mean 'dog'? (column 13 of the SQL)\nThe classes are cat, dog, eel.",
        ),
        ("probability(0) * if(label = 'Cat', 1, 2)", "there is no class 'Cat'. Did you mean 'cat'?"),
        ("probability(3)", "takes a class: label, prediction, target, 'a name' or its number, 0 to 2."),
        (
            "pow(prediction - target, 2)",
            "`-` takes a number, and this is a class name. (column 5 of the SQL)\nUse target for",
        ),
        (
            "probability(0) * if(label = 3, 1, 2)",
            "`=` mixes a class name with a number. (column 29 of the SQL)\nlabel and prediction are",
        ),
    ],
)
def test_once_the_classes_are_known_their_names_and_kinds_are_checked(text, words):
    read_expression(text)
    assert words in message(text, "class", PETS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-ln(probability(label))", "probability(x) is of a class, and a number is learnt here."),
        (
            "prediction * if(label = 'cat', 1, 2)",
            "a number is learnt here, and there are no names of classes to compare.",
        ),
    ],
)
def test_where_a_number_is_learnt_there_are_no_classes(text, words):
    assert words in message(text, "number")


def test_the_place_is_kept_for_who_knows_where_the_sql_stands():
    with pytest.raises(ExpressionError) as caught:
        read_expression("probability(label) *\n    foo(1)")
    assert caught.value.at == (2, 5)


def test_every_function_of_the_list_is_taken():
    arguments = {
        "huber": 2,
        "pow": 2,
        "power": 2,
        "mod": 2,
        "try_divide": 2,
        "nullif": 2,
        "greatest": 2,
        "least": 2,
        "if": 3,
    }
    for name in KNOWN:
        count = {"pi": 0, "e": 0}.get(name, arguments.get(name, 1))
        args = ["true", "1", "2"] if name == "if" else ["1", "2", "3"][:count]
        read_expression(f"probability(0) + {name}({', '.join(args)})").bind("class", PETS)


CELL = """\
task: image-classification
data: {train: products}
model: lenet5
loss:
  sql: """


def cell_error(loss):
    with pytest.raises(SpecError) as caught:
        resolve(Experiment.parse(CELL + loss))
    return str(caught.value)


@pytest.mark.parametrize(
    ("loss", "place"),
    [
        ("-lnn(probability(label))", "line 5, column 9: there is no function 'lnn'"),
        ('"-lnn(probability(label))"', "line 5, column 10: there is no function 'lnn'"),
        ("{expression: -lnn(probability(label))}", "line 5, column "),
        ("|\n    -lnn(probability(label))", "line 5, column 8: there is no function 'lnn'"),
        ("'if(label = ''cat'', lnn(probability(0)), 1)'", "line 5, column 8: there is no function 'lnn'"),
    ],
)
def test_in_a_cell_the_place_is_that_of_the_word_where_yaml_leaves_it_as_it_is(loss, place):
    said = cell_error(loss)
    assert place in said
    assert "of the SQL)\nA loss knows" in said


def test_the_columns_of_a_loss_are_known_before_any_row_is_read():
    resolved = resolve(Experiment.parse(CELL + "-ln(probability(label)) * price / Stock"))
    assert resolved.loss.columns == ("price", "Stock")
    assert resolve(Experiment.parse(CELL.replace("loss:\n  sql: ", ""))).loss.columns == ()


def test_the_loss_is_built_again_once_the_classes_are_known():
    experiment = Experiment.parse(CELL + "-ln(probability(label)) * if(label = 'dgo', 2, 1)")
    resolved = resolve(experiment)
    with pytest.raises(SpecError, match="line 5, column 45: there is no class 'dgo'"):
        check_loss(experiment, resolved, PETS)
    with pytest.raises(SpecError, match="a number is learnt here"):
        check_loss(experiment, resolved, ())


def test_metrics_are_sql_by_name():
    text = CELL.replace("loss:\n  sql: ", "metrics:\n  cost: avg(price)\n  worst: {sql: max(price)}\n")
    assert Experiment.parse(text).metrics == {"cost": "avg(price)", "worst": "max(price)"}
    assert Experiment.parse(text).to_dict()["metrics"] == {"cost": "avg(price)", "worst": "max(price)"}


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ("avg(price)", "line 4, column 10: metrics must be names with SQL aggregates, not 'avg(price)'.\nFor example:"),
        ("{cost: round(avg(price), 2)}", "has no SQL.\nWithin braces a comma ends the value: put the SQL in quotes"),
        ("{cost: 3}", "line 4, column 17: metrics.cost must be an SQL aggregate."),
        ("{cost: {sqll: avg(price)}}", "metrics.cost must be SQL, or `{sql: ...}`."),
    ],
)
def test_metrics_that_are_no_sql_say_how_they_are_written(metrics, words):
    with pytest.raises(SpecError) as caught:
        Experiment.parse(CELL.replace("loss:\n  sql: ", f"metrics: {metrics}\n"))
    assert words in str(caught.value)
