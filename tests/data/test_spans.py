"""Places of tokens in the text as the user wrote it, tags from spans, and spans from tags."""
# ruff: noqa: RUF001 (full-width letters)

import numpy as np
import pyarrow as pa
import pytest
from seqeval.metrics.sequence_labeling import get_entities
from tokenizers import normalizers

from sparknn_magic.data.entities import labels as reasons_of
from sparknn_magic.data.entities.job import EntityJob
from sparknn_magic.data.entities.labels import read_tags, spans_of_structs, spans_of_tags
from sparknn_magic.data.entities.shards import NO_TOKEN, shard_batches
from sparknn_magic.data.shards import DROPPED
from sparknn_magic.data.text.spans import IGNORED, SpanEncoder, join_words, labels_of, runs, tag_tokens, tags_of
from sparknn_magic.data.text.tokenizing import Encoder, train_tokenizer
from sparknn_magic.data.vectors.shards import Reasons
from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import Part
from sparknn_zoo.preprocess.lowercase import lowercase
from sparknn_zoo.preprocess.nfkc import nfkc
from sparknn_zoo.preprocess.strip_html import strip_html

TEXTS = [
    "My parcel to Berlin is late, order 12345",
    "<p>My <b>parcel</b> to <i>Paris</i> &amp; Rome</p>",
    "ＭＹ ｐａｒｃｅｌ ① ﬁnally 🧑‍🚀👨‍👩‍👧‍👦 Ｂｅｒｌｉｎ",
    "我的订单在北京，什么时候到上海？",
    "e\u0301te\u0301 a\u0308 Cafe\u0301 de Paris",
]
NAMES = ("wordpiece", "bpe", "unigram", "bytes", "words", "characters")
LONG_TOKENS = ("bpe", "unigram", "bytes", "words")  # a run of Chinese that they have seen may be one token
STEPS = {
    "nothing": [],
    "nfkc and lowercase": [nfkc(), lowercase()],
    "html, nfkc and lowercase": [strip_html(), nfkc(), lowercase()],
}
SPAN = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("label", pa.string())]))


def encoder(name: str, steps=(), length: int = 512, texts=TEXTS) -> SpanEncoder:
    part = Part(f"sparknn_zoo.tokenizers.{name}:{'bytes_' if name == 'bytes' else name}", {})
    return SpanEncoder(train_tokenizer(part, texts * 3, list(steps)), list(steps), length)


def spans(*rows) -> pa.Array:
    found = [
        [dict(zip(("start", "end", "label"), s, strict=True)) for s in row] if row is not None else None for row in rows
    ]
    return pa.array(found, SPAN)


def marked(text: str, words: list[str]) -> list[tuple[int, int, str]]:
    return [(text.index(w), text.index(w) + len(w), "place") for w in words]


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("name", NAMES)
def test_the_tokens_of_a_span_give_the_very_characters_that_were_marked(name, steps):
    made = encoder(name, steps)
    found = made.locate(pa.array(TEXTS))
    wanted = [["Berlin"], ["Paris", "Rome"], ["Ｂｅｒｌｉｎ"], ["北京", "上海"], ["Paris"]]
    column = spans(*(marked(text, words) for text, words in zip(TEXTS, wanted, strict=True)))
    reasons = Reasons(len(TEXTS))
    lengths = np.array([len(text) for text in TEXTS])
    given = spans_of_structs(column, lengths, pa.array(["place"]), reasons)
    assert reasons.none().all()
    tags, reached = tag_tokens(found, given)
    assert reached.all()
    assert (found.encoded.ids != 0).all()
    assert [found.encoded.errors, found.encoded.cut.any()] == [[None] * 5, False]
    for row, text in enumerate(TEXTS):
        a, b = found.encoded.offsets[row : row + 2]
        own = tags[a:b]
        assert [own[0], own[-1]] == [IGNORED, IGNORED]  # [CLS] and [SEP]
        places = np.flatnonzero(own > 0) + a
        first, last = runs(np.zeros(len(places), int), np.zeros(len(places), int), tags[places] == 1)
        pieces = [text[found.starts[places[i]] : found.ends[places[j]]] for i, j in zip(first, last, strict=True)]
        pieces = [p[a : len(p) - b] for p, a, b in zip(pieces, *made.trim(pieces), strict=True)]
        if row == 3 and name in LONG_TOKENS:
            assert all(word in piece for word, piece in zip(wanted[row], pieces, strict=True))
        else:
            assert pieces == wanted[row]


def test_ids_are_those_of_the_plain_encoder_and_long_texts_are_cut_alike():
    located = encoder("wordpiece", length=7)
    plain = Encoder(located.tokenizer.to_str(), [], 7)
    rows = pa.array([*TEXTS, None, "", "hi"])
    found, expected = located.locate(rows), plain.encode(rows)
    assert found.encoded.ids.tolist() == expected.ids.tolist()
    assert found.encoded.offsets.tolist() == expected.offsets.tolist()
    assert found.encoded.errors == expected.errors
    assert found.encoded.cut.tolist() == expected.cut.tolist()
    assert found.encoded.cut.any()
    assert len(found.starts) == len(found.ends) == len(expected.ids)


def test_a_plain_function_is_refused_because_places_would_be_lost():
    with pytest.raises(SpecError, match="loses the places of its characters"):
        encoder("wordpiece", [str.lower])
    assert isinstance(nfkc(), normalizers.Normalizer)


def bad(column: pa.Array, text: str) -> list[str | None]:
    reasons = Reasons(len(column))
    spans_of_structs(column, np.full(len(column), len(text)), pa.array(["x", "y"]), reasons)
    return reasons.list()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([(0, 2, "x"), (2, 5, "y")], None),
        ([], None),
        ([(2, 5, "y"), (0, 2, "x")], None),  # in any order
        (None, reasons_of.NULL_LABEL),
        ([(0, None, "x")], reasons_of.INCOMPLETE),
        ([(0, 2, None)], reasons_of.INCOMPLETE),
        ([(3, 3, "x")], reasons_of.EMPTY_SPAN),
        ([(4, 3, "x")], reasons_of.EMPTY_SPAN),
        ([(-1, 3, "x")], reasons_of.BEYOND),
        ([(8, 12, "x")], reasons_of.BEYOND),
        ([(0, 5, "x"), (4, 6, "y")], reasons_of.OVERLAPPING),
        ([(0, 2, "z")], reasons_of.UNKNOWN),
    ],
)
def test_a_row_whose_spans_cannot_be_has_its_reason_and_harms_no_other(row, reason):
    fine = [(0, 2, "x")]
    assert bad(spans(fine, row, fine), "ten letter")[::2] == [None, None]
    assert bad(spans(fine, row, fine), "ten letter")[1] == reason


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        (["B-x", "I-x", "O"], None),
        (["I-x", "I-y", "O"], None),
        (None, reasons_of.NULL_LABEL),
        (["O", "O"], reasons_of.LENGTHS),
        (["O", "O", None], reasons_of.NULL_TAG),
        (["O", "O", "x"], reasons_of.NO_TAG),
        (["O", "O", "B-"], reasons_of.NO_TAG),
        (["E-x", "O", "O"], reasons_of.NO_TAG),
        (["O", "O", "B-z"], reasons_of.UNKNOWN),
    ],
)
def test_a_row_whose_tags_cannot_be_has_its_reason_and_harms_no_other(tags, reason):
    fine = ["B-x", "O", "I-y"]
    words = join_words(pa.array([["a", "bc", "d"]] * 3))
    reasons = Reasons(3)
    found = spans_of_tags(pa.array([fine, tags, fine]), words, pa.array(["x", "y"]), reasons)
    assert reasons.list() == [None, reason, None]
    first = [(r, s, e, label) for r, s, e, label in zip(found.row, found.start, found.end, found.label, strict=True)]
    assert [span for span in first if span[0] != 1] == [(0, 0, 1, 0), (0, 5, 6, 1), (2, 0, 1, 0), (2, 5, 6, 1)]


def test_tags_become_the_entities_that_seqeval_finds():
    draw = np.random.default_rng(0)
    every = list(tags_of(["loc", "per", "a-b"]))
    rows = [draw.choice(every, draw.integers(1, 12)).tolist() for _ in range(300)]
    flat = pa.array([tag for row in rows for tag in row])
    label, begins, known = read_tags(flat, pa.array(labels_of(every)))
    assert known.all()
    row = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    before = np.cumsum([0, *map(len, rows)])
    first, last = runs(row, label, begins)
    found = [
        (row[a], labels_of(every)[label[a]], a - before[row[a]], b - before[row[a]])
        for a, b in zip(first, last, strict=True)
    ]
    assert found == [(n, *entity) for n, tags in enumerate(rows) for entity in get_entities(tags)]


def test_words_are_joined_by_spaces_and_keep_their_places():
    words = join_words(pa.array([["我", "love", "🧑‍🚀"], [], None, ["a", None], ["", "x"]]))
    assert words.texts.to_pylist() == ["我 love 🧑‍🚀", "", None, "a ", " x"]
    assert words.errors == [None, None, None, "null word", None]
    texts = words.texts.to_pylist()
    cut = [texts[r][a:b] for r, a, b in zip(words.row, words.start, words.end, strict=True)]
    assert cut == ["我", "love", "🧑‍🚀", "a", "", "", "x"]
    assert words.number.tolist() == [0, 1, 2, 0, 1, 0, 1]


def shards(job: EntityJob, rows: dict) -> list[dict]:
    count = len(rows["label"])
    columns = {"split": pa.array([0] * count, pa.int32()), "row": pa.array(range(count), pa.int64()), **rows}
    (found,) = shard_batches(iter([pa.RecordBatch.from_pydict(columns)]), job)
    return found.to_pylist()


def test_rows_are_prepared_with_a_tag_for_each_token_or_dropped_with_a_reason():
    made = encoder("wordpiece", [strip_html()])
    job = EntityJob(
        (Part("sparknn_zoo.preprocess.strip_html:strip_html"),), made.tokenizer.to_str(), 9, ("place",), False
    )
    texts = [TEXTS[0], None, "", "<br>", "a <b> Berlin", "a " * 20 + "Berlin"]
    marks = [marked(texts[0], ["Berlin"]), [], [], [], [(2, 5, "place")], [(40, 46, "place")]]
    found = shards(job, {"text": pa.array(texts), "label": spans(*marks)})
    assert [row["error"] for row in found] == [None, "null text", "empty text", "empty text", NO_TOKEN, None]
    assert [row["split"] for row in found] == [0, *[DROPPED] * 4, 0]
    assert [row["cut"] for row in found] == [True, False, False, False, False, True]
    tags, ids = (np.frombuffer(found[0][name], np.int32) for name in ("label", "tokens"))
    assert len(tags) == len(ids) == found[0]["length"] == 9
    assert tags.tolist() == [-100, 0, 0, 0, 1, 0, 0, 0, -100]


def test_rows_of_words_have_a_b_on_the_first_token_of_an_entity():
    made = encoder("characters")
    job = EntityJob((), made.tokenizer.to_str(), 99, ("place",), True)
    words = [["to", "Rome", "a"], ["to", "Rome"], ["Rome", None]]
    tags = [["O", "B-place", "I-place"], ["O"], ["O", "O"]]
    found = shards(job, {"text": pa.nulls(3, pa.string()), "words": pa.array(words), "label": pa.array(tags)})
    assert [row["error"] for row in found] == [None, reasons_of.LENGTHS, "null word"]
    own = np.frombuffer(found[0]["label"], np.int32)
    assert own[own > 0].tolist() == [1, *[2] * (sum(own > 0) - 1)]
    assert sum(own > 0) >= 5
