import re
from collections import Counter
from itertools import pairwise

import pyarrow.parquet as pq
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sparknn_magic import registry
from sparknn_magic.samples import sample
from sparknn_zoo.samples import make_help_desk as maker

SPLITS = registry.get("sample", "help-desk").build()
FOLDER = SPLITS["train"].parent
ROWS = {split: pq.read_table(path).to_pylist() for split, path in SPLITS.items()}
MESSAGES = ROWS["train"] + ROWS["test"]
MARKED = [row for row in MESSAGES if row["entities"] is not None]
HEAD = "\t".join(maker.MESSAGES)


def words(row):
    """The entities of a message as its text has them: (label, words)."""
    return [(e["label"], row["text"][e["start"] : e["end"]]) for e in row["entities"]]


def test_a_fifth_of_each_intent_and_language_is_for_the_test():
    rows, test = (Counter((r["intent"], r["language"]) for r in each) for each in (MESSAGES, ROWS["test"]))
    assert (len(ROWS["train"]), len(ROWS["test"])) == (502, 124)
    assert len(rows) == 24
    assert all(0.15 < test[group] / rows[group] < 0.26 for group in rows)


def test_the_intents_are_not_as_frequent_as_each_other_and_none_is_rare():
    rows = Counter(row["intent"] for row in MESSAGES)
    assert sorted(rows) == sorted(maker.INTENTS)
    assert (max(rows.values()), min(rows.values())) == (69, 33)
    assert 0.55 < sum(row["language"] == "en" for row in MESSAGES) / len(MESSAGES) < 0.65


def test_each_intent_has_three_answers_in_english_and_two_in_chinese():
    assert Counter((row["intent"], row["language"]) for row in ROWS["faq"]) == {
        (intent, language): n for intent in maker.INTENTS for language, n in (("en", 3), ("zh", 2))
    }


def test_the_language_is_the_one_that_the_text_is_in():
    for row in [*MESSAGES, *({"text": r["question"] + r["answer"], **r} for r in ROWS["faq"])]:
        assert bool(re.search("[\u4e00-\u9fff]", row["text"])) == (row["language"] == "zh"), row["text"]


def test_no_two_messages_have_the_same_letters_and_ids_are_unique():
    assert len({maker.normalized(row["text"]) for row in MESSAGES}) == len(MESSAGES)
    assert sorted(row["id"] for row in MESSAGES) == list(range(1, len(MESSAGES) + 1))


def test_no_message_of_the_test_is_nearly_one_to_train_on():
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4))
    train = grams.fit_transform([row["text"] for row in ROWS["train"]])
    near = (grams.transform([row["text"] for row in ROWS["test"]]) @ train.T).max(axis=1).toarray()
    assert near.max() < 0.6


def test_entities_are_marked_in_a_quarter_of_the_messages_and_are_whole_words():
    assert len(MARKED) == 155
    assert Counter(label for row in MARKED for label, _ in words(row)).keys() == set(maker.LABELS)
    assert 10 < sum(not row["entities"] for row in MARKED) < 60
    for row in MARKED:
        spans = [(e["start"], e["end"]) for e in row["entities"]]
        assert spans == sorted(spans)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
        for start, end in spans:
            inside = row["text"][start:end]
            assert inside == inside.strip() != ""
            around = row["text"][max(start - 1, 0) : start + 1], row["text"][end - 1 : end + 1]
            assert not any(re.fullmatch("[a-zA-Z]{2}|[0-9]{2}", pair) for pair in around), inside


def test_in_a_marked_message_no_address_amount_or_number_is_left_out():
    shapes = {"email": r"[\w.]+@[\w.-]+\w", "money": r"[€$£¥]\d[\d.,]*\d", "order": r"#\d{4,}|\b[A-Z]{1,2}-\d{4,}\b"}
    for row in MARKED:
        for label, shape in shapes.items():
            said = [found for name, found in words(row) if name == label]
            for found in re.findall(shape, row["text"], re.ASCII):
                assert any(found in each for each in said), (found, row["text"])


def test_mail_and_web_addresses_are_those_kept_for_examples():
    everything = "\n".join(file.read_text() for file in FOLDER.glob("*.tsv"))
    hosts = re.findall(r"(?:@|https?://)([\w.-]+\w)", everything)
    assert len(hosts) >= 20
    assert all(re.fullmatch(r"(\w+\.)?example\.(com|net|org)", host) for host in hosts), hosts


def test_counting_letters_and_word_pairs_gets_most_of_the_intents_and_not_all():
    model = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )
    (train, known), (test, true) = (
        ([row["text"] for row in ROWS[split]], [row["intent"] for row in ROWS[split]]) for split in maker.SPLITS
    )
    assert 0.82 < model.fit(train, known).score(test, true) < 0.92  # 0.871


def test_the_parquet_files_are_those_that_the_text_gives():
    again = maker.messages(FOLDER / "messages.tsv") | {"faq": maker.faq(FOLDER / "faq.tsv")}
    assert {split: table.to_pylist() for split, table in again.items()} == ROWS


def test_the_files_are_small(tmp_path):
    maker.main(["--out", str(tmp_path)])
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 100_000


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1\ttrain\trefund\ten\tyes", "line 2: not the 6 columns"),
        ("1\ttrain\trefunds\ten\tyes\twhere is it", "row 1: intent is 'refunds', not one of order_status"),
        ("2\ttrain\trefund\ten\tyes\twhere is it", "the ids are not 1 to 1, each once"),
        ("1\ttrain\trefund\ten\tyes\twhere is {ordre:#7}", r"\{ordre:#7\} is not a mark: the labels are date, email"),
        ("1\ttrain\trefund\ten\tyes\twhere is {order #7}", "a brace is left over in 'where is"),
        ("1\ttrain\trefund\ten\tno\twhere is {order:#7}", "message 1 has marks and says that it has none"),
        (
            "1\ttrain\trefund\ten\tyes\twhere is {order:#7}?\n2\ttest\trefund\ten\tno\tWhere is #8",
            "messages 1 and 2 have the same letters: 'Where is #8'",
        ),
    ],
)
def test_a_wrong_line_of_the_text_is_refused(tmp_path, line, said):
    path = tmp_path / "messages.tsv"
    path.write_text(f"{HEAD}\n{line}\n")
    with pytest.raises(ValueError, match=said):
        maker.messages(path)


def test_marks_become_spans_counted_in_characters():
    text, spans = maker.without_marks("😀 {product:猫 lamp}, {order:#7}")
    assert text == "😀 猫 lamp, #7"
    assert spans == [{"start": 2, "end": 8, "label": "product"}, {"start": 10, "end": 12, "label": "order"}]


def test_the_sample_is_three_views_and_spark_cuts_out_the_same_entities(spark):
    assert sample("help-desk", spark).count() == 502
    assert spark.sql("SELECT count(DISTINCT intent) FROM help_desk_test").first()[0] == 12
    assert spark.sql("SELECT count(*) FROM help_desk_faq WHERE answer LIKE '%30%'").first()[0] > 3
    cut = spark.sql(
        "SELECT e.label, substring(text, e.start + 1, e.end - e.start) AS words "
        "FROM help_desk LATERAL VIEW explode(entities) AS e"
    ).collect()
    assert sorted(map(tuple, cut)) == sorted(w for row in ROWS["train"] if row["entities"] for w in words(row))
