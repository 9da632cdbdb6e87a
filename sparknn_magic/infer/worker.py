"""Arrow arrays -> predictions, on executors: one ONNX Runtime session for each Python worker, in micro-batches."""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.compute as pc

from sparknn_magic.errors import InferenceError, did_you_mean
from sparknn_magic.infer.job import InferJob
from sparknn_magic.plugin import Part

T = TypeVar("T")
Outputs = Mapping[str, np.ndarray]  # by the names that the model file gives them; empty where no row was scored

LIKELY = 0.5  # probability from which on a row has a label, where it may have several
NO_NUMBER = "the network's answer is no number"
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
SESSIONS = 4  # kept in one Python worker; the oldest goes first
# Input pixels in one call of the network. On a CPU, for each thread: the activations then fit in its caches.
CPU_PIXELS = 32 * 1024
HEAVY, HEAVY_TIMES = 16 * 2**20, 4  # bytes of weights that no cache holds: then more rows share each reading of them
DEVICE_PIXELS = 8 * 1024 * 1024
CPU_NUMBERS, DEVICE_NUMBERS = 128 * 1024, 16 * 1024 * 1024  # of rows that are no pictures

_sessions: dict[tuple[str, tuple[str, ...], int], ort.InferenceSession] = {}


def predict(arrays: Iterator[pa.Array | tuple[pa.Array, ...]], job: InferJob, path: str) -> Iterator[pa.Array]:
    """Yield for each Arrow array of n values (or one for each input column) n predictions, in the same order.

    `path` is where the model file lies on this machine.
    Raises: InferenceError where the model does not load or run, or where a row cannot be scored and the mode is
    failfast; DataError where a column of that type cannot be read.
    """
    read, write = open_reader(job, path), job.write.build()
    for columns in arrays:  # an empty partition loads no model
        each = columns if isinstance(columns, tuple) else (columns,)
        session = cached_session(job, path)
        _require_outputs(session, job.outputs)
        if not job.batch_size and not hasattr(read, "batches"):
            job = replace(job, batch_size=micro_batch(session, job.threads, Path(path).stat().st_size))
        yield _score(each, read, write, session, job)


def open_reader(job: InferJob, path: str) -> Any:
    """Return the reader of input columns; its files lie beside the model."""
    beside = {option: str(Path(path).with_name(name)) for option, name in job.files}
    return Part(job.read.ref, {**job.read.options, **beside}, job.read.code).build()


def _require_outputs(session: ort.InferenceSession, names: Sequence[str]) -> None:
    """Raise InferenceError where the model file does not give what is asked for: an older one has no features."""
    known = [output.name for output in session.get_outputs()]
    for name in names:
        if name not in known:
            raise InferenceError(
                f"the model file has no output '{name}', only {', '.join(known)}.",
                hint="Train the model again: this version of sparknn-magic exports it.",
            )


def _score(
    columns: tuple[pa.Array, ...],
    read: Any,
    write: Callable[[Outputs, np.ndarray, list[str | None]], pa.Array],
    session: ort.InferenceSession,
    job: InferJob,
) -> pa.Array:
    least = _least_score(columns, job) if len(columns) != job.columns else None
    errors: list[str | None] = []
    answers = _answers(columns[: job.columns], read, session, job, errors)
    if hasattr(write, "begin"):
        return _gathered(write.begin(), answers, least, job, errors)
    if least is not None:
        write = above(write, least)
    parts: list[list[np.ndarray]] = []
    rows: list[np.ndarray] = [np.empty(0, np.int64)]
    for index, _, found in answers:
        parts.append(found)
        rows.append(index)
    outputs = {name: np.concatenate(part) for name, part in zip(job.outputs, zip(*parts, strict=True), strict=False)}
    scored = _no_number(*_in_order(outputs, np.concatenate(rows)), errors)
    if job.mode == "failfast":
        _require_all(errors)
    return write(*scored, errors)


def _answers(
    columns: tuple[pa.Array, ...], read: Any, session: ort.InferenceSession, job: InferJob, errors: list[str | None]
) -> Iterator[tuple[np.ndarray, Mapping[str, np.ndarray], list[np.ndarray]]]:
    """Yield of each micro-batch the rows' positions, its inputs and the network's outputs."""
    batches = read_batches(read, columns, job, errors)
    for index, inputs in ahead(batches) if _on_device(session) else batches:
        if job.mode == "failfast":
            _require_all(errors)
        if len(index):
            yield index, inputs, _run(session, job.outputs, inputs)


def _gathered(
    gather: Any, answers: Iterator[Any], least: pa.Array | None, job: InferJob, errors: list[str | None]
) -> pa.Array:
    """Let a writer take each batch's outputs as they come: those of tokens differ in width from batch to batch."""
    for index, inputs, found in answers:
        gather.take(index, inputs, dict(zip(job.outputs, found, strict=True)), errors)
    if job.mode == "failfast":
        _require_all(errors)
    return gather.finish(errors, least)


Batch = tuple[np.ndarray, Mapping[str, np.ndarray]]  # positions of rows int64[readable], and their inputs


def read_batches(read: Any, columns: tuple[pa.Array, ...], job: InferJob, errors: list[str | None]) -> Iterator[Batch]:
    """Yield the rows in micro-batches; `errors` grows by one entry for each of them, None where the row was read.

    A reader that has a method `batches` forms them by itself, and in an order of its own.
    """
    if hasattr(read, "batches"):
        yield from read.batches(*columns, errors=errors, threads=job.threads)
        return
    for start in range(0, len(columns[0]), job.batch_size):
        found = read(*(column[start : start + job.batch_size] for column in columns))
        errors += found.errors
        yield found.rows + start, found.inputs


def _in_order(outputs: Outputs, rows: np.ndarray) -> tuple[Outputs, np.ndarray]:
    """Return outputs and rows sorted by the rows' positions."""
    if (np.diff(rows) > 0).all():
        return outputs, rows
    order = np.argsort(rows)
    return {name: values[order] for name, values in outputs.items()}, rows[order]


def _least_score(columns: tuple[pa.Array, ...], job: InferJob) -> pa.Array:
    """Return the column behind a classifier's own, the least score that a prediction must have."""
    classifier = "score:float" in job.result  # of a row, or of each entity in it
    given = len(columns)
    if given != job.columns + 1 or not classifier:
        least = ", and one more for the least score" if classifier else ""
        takes = f"{job.columns} column{'' if job.columns == 1 else 's'}{least}"
        raise InferenceError(f"the model's function takes {takes}; it was given {given}.")
    least = columns[-1]
    if not (pa.types.is_floating(least.type) or pa.types.is_decimal(least.type) or pa.types.is_integer(least.type)):
        raise InferenceError(f"the least score of a prediction is a number from 0 to 1, not {least.type}.")
    given = least.cast(pa.float64())
    wrong = given.filter(pc.invert(pc.and_(pc.greater_equal(given, 0.0), pc.less_equal(given, 1.0))))  # NaN among them
    if len(wrong):
        raise InferenceError(f"the least score of a prediction is a number from 0 to 1, not {wrong[0].as_py():g}.")
    return least


def above(write: Callable[..., pa.Array], least: pa.Array) -> Callable[..., pa.Array]:
    """Return a writer that gives null where the score of a prediction is below `least`, one number a row."""

    def write_some(outputs: Outputs, rows: np.ndarray, errors: list[str | None]) -> pa.Array:
        found = write(outputs, rows, errors)
        below = pc.less(pc.struct_field(found, "score").cast(pa.float64()), least.cast(pa.float64()))
        hidden = pc.fill_null(below, False)  # a row that could not be scored keeps its reason
        fields = [found.field(i) for i in range(found.type.num_fields)]
        return pa.StructArray.from_arrays(fields, fields=list(found.type), mask=hidden)

    return write_some


def _require_all(errors: list[str | None]) -> None:
    """Raise InferenceError where one of the rows cannot be scored."""
    reason = next(filter(None, errors), None)
    if reason is not None:
        raise InferenceError(
            f"a row cannot be scored: {reason}.",
            hint="Mode 'permissive' gives such a row a null prediction and the reason in `error`.",
        )


def _no_number(
    outputs: Outputs, rows: np.ndarray, errors: list[str | None]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return outputs and rows without those where an output is no finite number; these get a reason in `errors`."""
    bad = np.zeros(len(rows), bool)
    for values in outputs.values():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            bad |= ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    for row in rows[bad].tolist():
        errors[row] = NO_NUMBER
    return (dict(outputs), rows) if not bad.any() else ({n: v[~bad] for n, v in outputs.items()}, rows[~bad])


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the same items, each made in a thread of its own while the caller still works on the one before."""
    end = object()
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, items, end)
        while (item := following.result()) is not end:
            following = thread.submit(next, items, end)
            yield item  # type: ignore[misc]  # `end` has ended the loop


def _run(session: ort.InferenceSession, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    try:
        return session.run(list(outputs), dict(inputs))
    except Exception as error:  # ONNX Runtime's errors have no common class of their own
        shapes = ", ".join(f"{name} {values.dtype}{list(values.shape)}" for name, values in inputs.items())
        raise InferenceError(f"the model does not run on {shapes}: {_first_line(error)}") from error


def classification_writer(
    *, classes: Sequence[str], several: bool = False
) -> Callable[[Outputs, np.ndarray, list[str | None]], pa.Array]:
    """Return a function of (outputs, rows, errors) to struct<label, score, probabilities, error>, one for each row.

    `outputs` has `probabilities` float32[scored, len(classes)] and `index` int64[scored]; `rows` int64[scored] are the
    positions of the scored rows among the n that `errors` stands for. The others have a null label, score and
    probabilities. Where a row may have `several` labels, `labels` are those with a probability of `LIKELY` or more.
    """
    labels = pa.array(list(classes), pa.string())

    def write(outputs: Outputs, rows: np.ndarray, errors: list[str | None]) -> pa.Array:
        count, width = len(errors), len(labels)
        probabilities = outputs.get("probabilities", np.empty((0, width), np.float32)).astype(np.float32, copy=False)
        index = outputs.get("index", np.empty(0, np.int64))
        best = np.take_along_axis(probabilities, index[:, None], axis=1)[:, 0]
        lengths = np.full(count, width, np.int32)
        missing = None
        if len(rows) < count:
            missing = np.ones(count, bool)
            missing[rows] = False
            lengths[missing] = 0
            index, best = _spread(index, rows, count), _spread(best, rows, count)
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        lists = pa.ListArray.from_arrays(
            pa.array(offsets),
            pa.array(probabilities.reshape(-1)),
            type=pa.list_(pa.field("element", pa.float32())),
            mask=None if missing is None else pa.array(missing),
        )
        columns = {
            "label": labels.take(pa.array(index, mask=missing)),
            "score": pa.array(best, mask=missing),
            "probabilities": lists,
            "error": pa.nulls(count, pa.string()) if missing is None else pa.array(errors, pa.string()),
        }
        if several:
            columns["labels"] = _likely(probabilities, labels, rows, count)
        return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))

    return write


def _likely(probabilities: np.ndarray, labels: pa.Array, rows: np.ndarray, count: int) -> pa.Array:
    """Return array<string>: the labels whose probability is `LIKELY` or more; null where a row was not scored."""
    chosen = probabilities >= LIKELY
    lengths, missing = np.zeros(count, np.int64), np.ones(count, bool)
    lengths[rows], missing[rows] = chosen.sum(1), False
    return pa.ListArray.from_arrays(
        pa.array(np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)),
        labels.take(pa.array(np.nonzero(chosen)[1])),
        type=pa.list_(pa.field("element", pa.string())),
        mask=pa.array(missing),
    )


def number_writer() -> Callable[[Outputs, np.ndarray, list[str | None]], pa.Array]:
    """Return a function of (outputs, rows, errors) to struct<prediction, error>, one for each row.

    `outputs` has `prediction` float[scored]; `rows` and `errors` are those of `classification_writer`.
    """

    def write(outputs: Outputs, rows: np.ndarray, errors: list[str | None]) -> pa.Array:
        count = len(errors)
        values = outputs.get("prediction", np.empty(0)).astype(np.float64, copy=False)
        if len(rows) == count:
            return pa.StructArray.from_arrays([pa.array(values), pa.nulls(count, pa.string())], ["prediction", "error"])
        missing = np.ones(count, bool)
        missing[rows] = False
        columns = [pa.array(_spread(values, rows, count), mask=missing), pa.array(errors, pa.string())]
        return pa.StructArray.from_arrays(columns, names=["prediction", "error"])

    return write


def features_writer() -> Callable[[Outputs, np.ndarray, list[str | None]], pa.Array]:
    """Return a function of (outputs, rows, errors) to array<float>, one for each row.

    `outputs` has `features` float32[scored, D]; `rows` and `errors` are those of `classification_writer`. Rows that
    were not scored have a null.
    """

    def write(outputs: Outputs, rows: np.ndarray, errors: list[str | None]) -> pa.Array:
        features = outputs.get("features", np.empty((0, 0), np.float32)).astype(np.float32, copy=False)
        lengths, missing = np.zeros(len(errors), np.int32), np.ones(len(errors), bool)
        lengths[rows], missing[rows] = features.shape[1], False
        return pa.ListArray.from_arrays(
            pa.array(np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)),
            pa.array(features.reshape(-1)),
            type=pa.list_(pa.field("element", pa.float32())),
            mask=pa.array(missing),
        )

    return write


def _spread(values: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    out = np.zeros(count, values.dtype)
    out[rows] = values
    return out


def cached_session(job: InferJob, path: str) -> ort.InferenceSession:
    """Return this Python worker's session for the model, made on first use.

    It lives as long as the worker, or until `SESSIONS` newer ones have come.
    Raises: InferenceError where the file does not load, or a provider asked for by name is not there.
    """
    key = (job.digest, job.providers, job.threads)
    if key not in _sessions:
        while len(_sessions) >= SESSIONS:
            del _sessions[next(iter(_sessions))]
        _sessions[key] = make_session(path, providers=job.providers, threads=job.threads)
        # Spark's worker looks for garbage after each task: 40 ms, with all that is imported by now. It need not.
        gc.collect()
        gc.freeze()
    return _sessions[key]


def make_session(path: str, *, providers: Sequence[str] = ("auto",), threads: int = 1) -> ort.InferenceSession:
    """Return a new ONNX Runtime session for one model file; `threads` is for the operators, 0: all cores."""
    wanted = resolve_providers(providers, ort.get_available_providers())
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(path, options, providers=wanted)
    except Exception as error:  # ONNX Runtime's errors have no common class of their own
        raise InferenceError(f"the model file does not load in ONNX Runtime: {_first_line(error)}") from error
    # Where a provider's libraries are missing, ONNX Runtime goes on without it and only logs so.
    absent = [name for name in wanted if name not in session.get_providers()]
    if absent and "auto" not in providers:
        raise InferenceError(
            f"the provider {absent[0]} does not start on this worker.",
            hint="Its libraries are missing or do not fit: see ONNX Runtime's requirements for it.",
        )
    return session


def resolve_providers(asked: Sequence[str], available: Sequence[str]) -> list[str]:
    """Return ONNX Runtime's names for the providers asked for; "auto" is CUDA where it is available, else the CPU.

    Short names are taken too: `cuda` is `CUDAExecutionProvider`.
    Raises: InferenceError where one that is asked for by name is not available.
    """
    known = {name.lower().removesuffix("executionprovider"): name for name in available}
    found: list[str] = []
    for name in asked:
        if name == "auto":
            found += [p for p in (CUDA, CPU) if p in available]
            continue
        short = name.lower().removesuffix("executionprovider")
        if short not in known:
            raise InferenceError(
                f"there is no provider '{name}' on this worker.{did_you_mean(short, known)}",
                hint=f"Available: {', '.join(available)}.",
            )
        found.append(known[short])
    return list(dict.fromkeys(found))


def micro_batch(session: ort.InferenceSession, threads: int = 1, weights: int = 0) -> int:
    """Return how many rows to run at once: few enough for a CPU's caches, many for a GPU; `weights` in bytes.

    Measured with one thread: a small CNN on 32x32 is fastest at 16 to 64 and 2 to 4 times slower at 1024; resnet18 on
    32x32, whose weights leave the caches in any case, is 2 % faster at 128 than at 32; resnet18 and mobilenet_v2 on
    224x224 are fastest at 1 or 2.
    """
    shapes = [each.shape[1:] for each in session.get_inputs()]
    if len(shapes) == 1 and len(shapes[0]) == 3:  # pictures
        height, width = shapes[0][:2]
        pixels = CPU_PIXELS * max(1, threads) * (HEAVY_TIMES if weights > HEAVY else 1)
        pixels = DEVICE_PIXELS if _on_device(session) else pixels
        return max(1, min(1024, pixels // (height * width)))
    values = sum(int(np.prod(shape)) for shape in shapes)
    numbers = DEVICE_NUMBERS if _on_device(session) else CPU_NUMBERS * max(1, threads)
    return max(64, min(16_384, numbers // max(1, values)))


def _on_device(session: ort.InferenceSession) -> bool:
    """Say whether the network runs beside the CPU, which can then read the next pictures in the meantime."""
    return session.get_providers()[0] != CPU


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
