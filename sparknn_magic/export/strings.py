"""A text model's file with its tokenizer in front: strings in. Needs onnx and onnxruntime-extensions; no Spark.

The tokenizer is an operator of onnxruntime-extensions, which whoever runs the file has to register:

    options.register_custom_ops_library(onnxruntime_extensions.get_library_path())

It takes one text at a time, so the graph has a loop over the rows, and it is not quite the tokenizers library: it knows
the lower case of A to Z alone, for one. `require_same` compares the two on real rows before anything is trained.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa

from sparknn_magic.data.text.tokenizing import Encoder, special_ids, text_inputs
from sparknn_magic.errors import ExportError, MissingExtra
from sparknn_magic.export.graph import IDS, MASK

CUSTOM = "ai.onnx.contrib"  # the domain of onnxruntime-extensions
TEXTS = ("text", "pair")  # the inputs' names
PREFIX = "strings/"  # of the names of all other values
SHOWN = 60  # characters of a text in an error
BATCH = 64

# Full-width and other punctuation is split off, and control characters are taken out, as BERT has it: the operator does
# so for ASCII alone. In RE2's syntax.
PUNCTUATION, SPACED = r"(\p{P})", r" \1 "
CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F\x{FFFD}\p{Cf}\p{Co}]"

# N texts, R what is read of each.
GRAPH = """\
<ir_version: 9, opset_import: ["" : 18, "{custom}" : 1]>
strings ({inputs}) => (int64[N, T] input_ids, int64[N, T] attention_mask)
<int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] minus = {{-1}}, int64 pad = {{{pad}}},
 int64[1] length = {{{length}}}, {rooms}, int64 first = {{0}}, int64 step = {{1}}, bool go = {{1}}>
{{
{cleaned}
  rows = Size (text)
  every, counts = Loop (rows, go) <body = row (int64 n, bool on) => (bool going, int64[R] ids, int64 count) {{
    going = Identity (on)
    place = Unsqueeze (n, zero)
{read}
    kept = Concat <axis: int = 0> ({joined})
    count = Size (kept)
    counted = Shape (kept)
    missing = Sub (length, counted)
    fill = Concat <axis: int = 0> (zero, missing)
    ids = Pad (kept, fill, pad)
  }}>
  longest = ReduceMax <keepdims: int = 0> (counts)
  width = Reshape (longest, one)
  input_ids = Slice (every, zero, width, one)
  places = Range (first, longest, step)
  lengths = Unsqueeze (counts, one)
  inside = Less (places, lengths)
  attention_mask = Cast <to: int = 7> (inside)
}}
"""
# Of one column: the ids without the special ones at their ends.
READ = """\
    value_{n} = Gather ({name}, place)
    found_{n} = {custom}.{operator} (value_{n})
    flat_{n} = Reshape (found_{n}, minus)
    inner_{n} = Slice (flat_{n}, one, minus)
    size_{n} = Shape (inner_{n})"""
# The longer of a pair is cut first, as `Encoder` does.
SINGLE = """\
    most_0 = Min (size_0, room)
    part_0 = Slice (inner_0, zero, most_0)"""
PAIR = """\
    beside_0 = Sub (room, size_1)
    beside_1 = Sub (room, size_0)
    least_0 = Max (beside_0, rest)
    least_1 = Max (beside_1, half)
    most_0 = Min (size_0, least_0)
    most_1 = Min (size_1, least_1)
    part_0 = Slice (inner_0, zero, most_0)
    part_1 = Slice (inner_1, zero, most_1)"""


def tokenizer_graph(tokenizer_json: str, length: int, columns: int = 1) -> Any:
    """Return the ONNX model string[N] `text` (and `pair`) -> input_ids, attention_mask int64[N, T], T at most `length`.

    Raises: ExportError where onnxruntime-extensions has no such tokenizer.
    """
    import onnx
    from onnx import helper, numpy_helper

    found = json.loads(tokenizer_json)
    operator, attributes, cleans = _operator(found)
    edges = special_ids(tokenizer_json, pair=columns == 2)
    room = length - sum(map(len, edges))
    rooms = {"room": room} | ({"half": room // 2, "rest": room - room // 2} if columns == 2 else {})
    names = TEXTS[:columns]
    read = [READ.format(n=n, name=f"clean_{n}", custom=CUSTOM, operator=operator) for n in range(columns)]
    parts = [f"edge_{n // 2}" if n % 2 == 0 else f"part_{n // 2}" for n in range(2 * columns + 1)]
    text = GRAPH.format(
        custom=CUSTOM,
        inputs=", ".join(f"string[N] {name}" for name in names),
        cleaned="\n".join(_cleaned(n, name, cleans) for n, name in enumerate(names)),
        pad=text_inputs(tokenizer_json, length).pad,
        rooms=", ".join(f"int64[1] {name} = {{{value}}}" for name, value in rooms.items()),
        length=length,
        read="\n".join([*read, PAIR if columns == 2 else SINGLE]),
        joined=", ".join(parts),
    )
    model = onnx.parser.parse_model(text)
    graph = model.graph
    graph.initializer.extend(numpy_helper.from_array(ids.astype(np.int64), f"edge_{n}") for n, ids in enumerate(edges))
    patterns = {"control": CONTROL, "nothing": "", "punctuation": PUNCTUATION, "spaced": SPACED}
    graph.initializer.extend(
        numpy_helper.from_array(np.array([value], object), name) for name, value in patterns.items() if cleans
    )
    (loop,) = [node for node in graph.node if node.op_type == "Loop"]
    for node in loop.attribute[0].g.node:
        if node.op_type == operator:
            # Its further outputs are not wanted, but the operator gives them.
            node.output.extend(f"{node.output[0]}_{k}" for k in range(1, 4 if operator == "BertTokenizer" else 3))
            node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    return model


def _cleaned(n: int, name: str, cleans: bool) -> str:
    if not cleans:
        return f"  clean_{n} = Identity ({name})"
    replace = f"{CUSTOM}.StringRegexReplace <global_replace: int = 1>"
    return (
        f"  plain_{n} = {replace} ({name}, control, nothing)\n  clean_{n} = {replace} (plain_{n}, punctuation, spaced)"
    )


def _operator(found: dict[str, Any]) -> tuple[str, dict[str, Any], bool]:
    """Return the operator for a tokenizer.json, its attributes, and whether texts are cleaned before it.

    Raises: ExportError where there is none.
    """
    kinds = [(found[part] or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
    model = found["model"]
    if kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
        normalizer = found["normalizer"]
        lowercase, accents = normalizer["lowercase"], normalizer["strip_accents"]
        words = sorted(model["vocab"], key=model["vocab"].get)
        return (
            "BertTokenizer",
            {
                "vocab_file": "\n".join(words),
                "do_lower_case": int(lowercase),
                "strip_accents": int(lowercase if accents is None else accents),
                "tokenize_chinese_chars": int(normalizer["handle_chinese_chars"]),
                "suffix_indicator": model["continuing_subword_prefix"],
                "unk_token": model["unk_token"],
            },
            bool(normalizer["clean_text"]),
        )
    if kinds == [None, "ByteLevel", "BPE"] and not found["pre_tokenizer"]["add_prefix_space"]:
        merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
        return "RobertaTokenizer", {"vocab": json.dumps(model["vocab"]), "merges": "\n".join(merges)}, False
    said = ", ".join(
        f"{part} {kind}" for part, kind in zip(("normalizer", "pre-tokenizer", "model"), kinds, strict=True)
    )
    raise ExportError(
        f"this tokenizer cannot stand in the graph: {said}.",
        hint="onnxruntime-extensions has those of pretrained BERT files (WordPiece) and RoBERTa files (BPE of bytes), "
        "without further steps under `preprocess:`. model.onnx and tokenizer.json work for every tokenizer.",
    )


def open_strings(model: Any) -> onnxruntime.InferenceSession:
    """Return a session on the CPU of a model (a file's path, or its bytes) that takes strings. Raises: MissingExtra."""
    try:
        from onnxruntime_extensions import get_library_path
    except ImportError as error:
        raise MissingExtra(
            "a tokenizer in the graph needs onnxruntime-extensions: pip install 'sparknn-magic[strings]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(get_library_path())
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def require_same(tokenizer_json: str, length: int, columns: Sequence[pa.Array]) -> None:
    """Raise ExportError where a text has other ids in the graph than by the tokenizers library."""
    session = open_strings(tokenizer_graph(tokenizer_json, length, len(columns)).SerializeToString())
    encoded = Encoder(tokenizer_json, [], length).encode(*columns)
    rows = np.flatnonzero(np.array([error is None for error in encoded.errors], bool))
    other = []
    for row in rows.tolist():
        ids = session.run([IDS], _inputs(columns, [row]))[0][0]
        if not np.array_equal(ids, encoded.ids[encoded.offsets[row] : encoded.offsets[row + 1]]):
            other.append(row)
    if other:
        text = columns[0][other[0]].as_py()
        shown = text if len(text) <= SHOWN else text[:SHOWN] + "..."
        raise ExportError(
            f"in the graph {len(other)} of {len(rows)} texts become other tokens than by tokenizer.json, such as "
            f"{shown!r}.",
            hint="onnxruntime-extensions reads English and Chinese alike, and not every other language. Leave "
            "tokenizer_in_graph out: model.onnx and tokenizer.json work for every text.",
        )


def _inputs(columns: Sequence[pa.Array], rows: Sequence[int]) -> dict[str, np.ndarray]:
    values = [np.array([column[row].as_py() for row in rows], object) for column in columns]
    return dict(zip(TEXTS, values, strict=False))


def export_strings(model: Path, tokenizer_json: str, length: int, columns: int, path: Path) -> None:
    """Write `model`, a file that takes token ids, with its tokenizer in front to `path`. Raises: ExportError."""
    import onnx

    behind = onnx.load(model)
    before = tokenizer_graph(tokenizer_json, length, columns)
    before.ir_version = behind.ir_version
    for mine in before.opset_import:
        mine.version = next((theirs.version for theirs in behind.opset_import if theirs.domain == mine.domain), 1)
    _rename(before.graph)
    io = [(f"{PREFIX}{name}", name) for name in (IDS, MASK)]
    whole = onnx.compose.merge_models(before, behind, io_map=io)
    del whole.metadata_props[:]
    whole.metadata_props.extend(behind.metadata_props)
    whole.producer_name = behind.producer_name
    onnx.checker.check_model(whole)
    onnx.save(whole, path)


def _rename(graph: Any) -> None:
    """Give every value but the texts a prefix, that none has the name of one of the network's.

    ONNX's own `compose.add_prefix` forgets what a loop's body takes from outside.
    """
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [name if name in ("", *TEXTS) else PREFIX + name for name in names]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g)
    for value in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
        value.name = value.name if value.name in TEXTS else PREFIX + value.name


def run_strings(path: Path, columns: Sequence[pa.Array]) -> np.ndarray:
    """Return the first output of a file that takes strings, for all rows, in batches of two sizes."""
    session = open_strings(str(path))
    first, rows = session.get_outputs()[0].name, range(len(columns[0]))
    batches = [rows[:1], *(rows[start : start + BATCH] for start in range(1, len(rows), BATCH))]
    return np.concatenate([session.run([first], _inputs(columns, batch))[0] for batch in batches if batch])


def run_ids(path: Path, tokenizer_json: str, length: int, columns: Sequence[pa.Array]) -> np.ndarray:
    """Return the first output of a file that takes token ids for the same rows, one by one, by the tokenizers library.

    Raises: ExportError where a text has no tokens.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    first, encoded = session.get_outputs()[0].name, Encoder(tokenizer_json, [], length).encode(*columns)
    reason = next(filter(None, encoded.errors), None)
    if reason is not None:
        raise ExportError(f"a text of the training rows cannot be read: {reason}.")
    found = []
    for begin, end in pairwise(encoded.offsets.tolist()):
        ids = encoded.ids[None, begin:end].astype(np.int64)
        found.append(session.run([first], {IDS: ids, MASK: np.ones_like(ids)})[0])
    return np.concatenate(found)
