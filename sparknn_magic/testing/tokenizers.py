"""Tokenizers: their special tokens, the same file for the same texts, any text in any script."""

import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from tokenizers import Tokenizer, normalizers

from sparknn_magic import shipping
from sparknn_magic.data.text.tokenizing import SPECIALS, Encoder, train_tokenizer
from sparknn_magic.errors import SparkNNError
from sparknn_magic.plugin import Part
from sparknn_magic.spec.schema import options_model
from sparknn_magic.testing.kit import Fault, Subject, checks, guard, must
from sparknn_magic.testing.texts import ODD, TEXTS, in_time

FORBIDDEN = ("torch", "pyspark", "pandas")  # what need not be there where a tokenizer is trained
SMALL = 64  # a vocabulary that the texts have more tokens for


@checks("tokenizer")
def keeps_its_form(subject: Subject) -> str:
    """Have the special tokens at their ids, and around texts and pairs; neither cut nor pad."""
    made = _trained(subject)
    tokens = [made.id_to_token(number) for number in range(4)]
    must(tokens == list(SPECIALS), f"its tokens 0 to 3 are {_and(tokens)}; they must be {_and(SPECIALS)}.")
    special = {token.content for token in made.get_added_tokens_decoder().values() if token.special}
    missing = [token for token in SPECIALS if token not in special]
    must(not missing, f"{_and(missing)} are not among its special tokens; use add_special_tokens.")
    must(made.truncation is None and made.padding is None, "it cuts or pads texts, which is not for it to do.")
    a, b = (made.encode(text, add_special_tokens=False).ids for text in (TEXTS[0], TEXTS[1]))
    _, _, cls, sep = range(4)
    must(made.encode("").ids == [cls, sep], "an empty text is not [CLS] [SEP].")
    must(made.encode(TEXTS[0]).ids == [cls, *a, sep], "its post-processor does not give [CLS] A [SEP] for a text A.")
    must(
        made.encode(TEXTS[0], TEXTS[1]).ids == [cls, *a, sep, *b, sep],
        "its post-processor does not give [CLS] A [SEP] B [SEP] for a pair of texts.",
    )
    most = subject.item.notes.get("most", 1)
    must(isinstance(most, int) and most >= 1, f"its notes say that a text has at most {most} tokens.")
    return f"its special tokens stand where they must, among {made.get_vocab_size():,}"


@checks("tokenizer")
def is_repeatable(subject: Subject) -> str:
    """Give the same file for the same texts: here, and in another process with other hashes."""
    first = _file(subject)
    must(
        _file(subject) == first, "it gives another tokenizer for the same texts: sort what comes out of sets and maps."
    )
    here = hashlib.sha256(first.encode()).hexdigest()
    must(_elsewhere(subject) == here, "it gives another tokenizer for the same texts in another process.")
    return "gives the same tokenizer for the same texts"


@checks("tokenizer")
def takes_any_text(subject: Subject) -> str:
    """Encode every text, also after a way through its file; know what it was trained on; be done in time."""
    made = _trained(subject)
    encoder = Encoder(made.to_str(), length=2048)
    size = max(made.get_vocab(with_added_tokens=True).values()) + 1
    texts = [*TEXTS, *ODD.values()]
    with guard("it fails on one of many texts", allow=()):
        found = encoder.encode(pa.array(texts))
    with guard("it fails on one of many texts by itself", allow=()):
        ids = [made.encode(text).ids for text in texts]
    must(all(0 <= number < size for row in ids for number in row), f"its ids are not between 0 and {size - 1}.")
    for row, text in enumerate(TEXTS):
        again = found.ids[found.offsets[row] : found.offsets[row + 1]].tolist()
        must(again == ids[row][:2048], f"after a way through its file it gives other ids for '{text}'.")
        known = sum(number != 1 for number in ids[row]) - 2
        must(known >= 1, f"it knows no token of '{text}', which is among its training texts.")
    for words, text in (("Thai", TEXTS[5]), ("Chinese", TEXTS[3])):
        must(len(made.encode(text * 4).ids) > 3, f"a long text without spaces ({words}) is one token.")
    in_time(lambda text: encoder.encode(pa.array([text])))
    return f"takes {len(texts)} texts of many scripts, and long ones in time"


@checks("tokenizer")
def uses_the_normalizer(subject: Subject) -> str:
    """Put the normalizer that it is given into the tokenizer, and train behind it."""
    made = _trained(subject, steps=[normalizers.Replace("refund", "order")])
    must(
        made.encode("a refund now").ids == made.encode("a order now").ids,
        "it leaves out the normalizer that it is given, which must be part of the tokenizer.",
    )
    return "normalizes texts as it is told"


@checks("tokenizer")
def minds_its_vocabulary(subject: Subject) -> str:
    """Keep to the option `vocabulary` where it has one, and take one that is larger than the texts allow."""
    if "vocabulary" not in options_model(subject.item).model_fields:
        return "has no option for the size of its vocabulary"
    size = _trained(subject, vocabulary=SMALL).get_vocab_size()
    must(size <= SMALL, f"with vocabulary {SMALL} it has {size} tokens.")
    _trained(subject, vocabulary=10**12)
    return f"keeps to a vocabulary of {SMALL}, and takes one that is larger than the texts allow"


@checks("tokenizer")
def needs_little(subject: Subject) -> str:
    """Import what an executor has that only prepares rows."""
    module = subject.item.build.__module__
    if not shipping.can_import(subject.item):
        return "its code travels by value"
    code = f"import sys, {module}; print(*sorted(set({FORBIDDEN!r}) & sys.modules.keys()))"
    done = _python(code)
    must(done.returncode == 0, f"its module {module} does not import in a fresh interpreter.")
    found = done.stdout.decode().split()
    must(not found, f"its module imports {' and '.join(found)}, which executors need not have where it is trained.")
    return "needs neither Spark nor torch where it is trained"


def _file(subject: Subject, steps: Any = (), **options: Any) -> str:
    part = shipping.part_of(subject.item, {**subject.options(), **options})
    said = f" with {', '.join(f'{name} {value}' for name, value in options.items())}" if options else ""
    try:
        with guard(f"it does not train{said}", allow=(SparkNNError,)):
            return train_tokenizer(part, iter(TEXTS), steps)
    except SparkNNError as error:
        raise Fault(f"it does not train{said}: {error.message}") from error


def _trained(subject: Subject, steps: Any = (), **options: Any) -> Tokenizer:
    with guard("its file does not come back"):
        return Tokenizer.from_str(_file(subject, steps, **options))


def _elsewhere(subject: Subject) -> str:
    """Return the digest of the file that another process makes, in which sets and maps have another order."""
    code = (
        "import hashlib, pickle, sys; part, texts = pickle.load(sys.stdin.buffer)\n"
        "from sparknn_magic.data.text.tokenizing import train_tokenizer\n"
        "print(hashlib.sha256(train_tokenizer(part, texts, []).encode()).hexdigest())"
    )
    part: Part = shipping.part_of(subject.item, subject.options())
    done = _python(code, pickle.dumps((part, TEXTS)), {"PYTHONHASHSEED": "123"})
    reason = (done.stderr.decode().strip() or "no reason given").splitlines()[-1]
    must(done.returncode == 0, f"it does not train in a fresh interpreter: {reason}")
    return done.stdout.decode().strip()


def _python(code: str, given: bytes = b"", more: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **(more or {})}
    return subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, env=environment, check=False)


def _and(names: Any) -> str:
    return " and ".join(", ".join(map(str, names)).rsplit(", ", 1))
