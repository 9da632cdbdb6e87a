"""What comes of a run: what its model folder says, how the file does on held-out rows, whether it is there already."""

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknn_magic import shipping
from sparknn_magic.bundle.folder import CARD, META, MODEL, read_bundle, sha256, versions, write_meta
from sparknn_magic.errors import BundleError
from sparknn_magic.model import Model, prepared_meta
from sparknn_magic.training.job import Fitted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparknn_magic.run import Checked, Ready


def plain_spec(checked: "Checked") -> dict[str, Any]:
    """Return the experiment as a model folder keeps it: where nothing is trained, without what is said of training."""
    plain = checked.experiment.to_dict()
    if not checked.task.trains:
        del plain["train"]
        for key in ("label", "validation"):
            plain["data"].pop(key, None)
    return plain


def held_out(plan: Any) -> tuple["DataFrame", str]:
    """Return the test rows; where there are none the validation rows, and without those the training rows."""
    found = ((getattr(plan, split), split) for split in ("test", "validation", "train"))
    return next((frame, split) for frame, split in found if frame is not None)


def bundle_meta(ready: "Ready", fitted: Fitted, cell: str) -> dict[str, Any]:
    """Return what bundle.json says before the file has been exported and evaluated."""
    checked, prepared, job = ready.checked, ready.prepared, ready.job
    model = checked.resolved.model
    training = {k: v for k, v in asdict(fitted).items() if k != "weights"}
    training["notes"] = ready.notes + fitted.notes
    return {
        "name": checked.name,
        "task": checked.experiment.task,
        "spec": plain_spec(checked),
        **checked.task.describe(prepared),
        "preprocess": [shipping.describe(step.item, step.part) for step in checked.resolved.preprocess],
        **queries(checked.plan),
        "model": model.describe()
        | {"parameters": ready.parameters, "source": model.item.source, "licence": model.item.licence},
        "training": training
        | {
            "epochs": len(fitted.history),
            "seed": job.seed,
            "figure": job.figure,
            "fingerprint": job.fingerprint,
            "cell": cell,
        },
        "rows": dict(prepared.rows) | {"dropped": prepared.dropped},
    }


def evaluate_bundle(
    checked: "Checked", prepared: Any, meta: dict[str, Any], folder: Path, report: Path
) -> dict[str, Any]:
    """Score the held-out rows with the exported file by Spark; write bundle.json, the card and the report."""
    from sparknn_magic.evaluate.custom import with_custom
    from sparknn_magic.show.card import model_card

    frame, split = held_out(checked.plan)
    frame = checked.task.judged(frame, prepared)
    meta = meta | {"files": {MODEL: sha256(folder / MODEL)}, "size_bytes": (folder / MODEL).stat().st_size}
    # Kept while the metrics and the report's examples look at it: the model runs once on each row.
    scored = Model(meta, folder, checked.spark).predict_prepared(frame).persist()
    try:
        metrics = with_custom(checked.task.evaluate(scored, meta), scored, meta)
        rows = meta["rows"] | ({"test": metrics["rows"]} if split == "test" else {})
        meta = meta | {"metrics": metrics, "evaluated_on": split, "rows": rows}
        (folder / CARD).write_text(model_card(meta), encoding="utf-8")
        meta = write_meta(folder, meta)
        report.parent.mkdir(parents=True, exist_ok=True)
        checked.task.report(report, scored, prepared_meta(meta))
    finally:
        scored.unpersist()
    return meta


def queries(plan: Any) -> dict[str, Any]:
    """Return what is kept of SQL steps; of a task's plan that knows none, nothing."""
    steps = getattr(plan, "queries", ())
    return {"queries": [step.to_plain() for step in steps]} if steps else {}


def cell_identity(ready: "Ready") -> str:
    """Return a text that is the same as long as the cell, its rows, the code and the packages that it uses are.

    One or two small Spark jobs look at the rows that the model is judged on; where these are no files, at all of them.
    """
    checked = ready.checked
    job = asdict(replace(ready.job, attempt=""))
    packages = {"sparknn_magic", *(ref.partition(".")[0] for ref in _refs([job, checked.resolved.task.ref]))}
    code = {name: _sources(name) for name in sorted(packages - {"__main__"})}
    known = [ready.job.fingerprint, plain_spec(checked), _judged(checked), versions(), code]
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def _judged(checked: "Checked") -> list[str]:
    """Return what tells of the rows that the metrics are computed on, beside those that the job knows of."""
    from pyspark.sql import functions as F

    from sparknn_magic.data.columns import has_hash
    from sparknn_magic.data.folder import spark_says
    from sparknn_magic.data.identity import identity

    frame, split = held_out(checked.plan)
    if split != "test" and not checked.experiment.metrics:
        return []
    names = [field.name for field in frame.schema if has_hash(field.dataType)]
    lower = [name.lower() for name in names]  # of two columns of one name, neither is read
    columns = [F.col("`" + name.replace("`", "``") + "`") for name in names if lower.count(name.lower()) == 1]
    with spark_says(checked.experiment):
        return identity(checked.spark, frame, columns)


def _refs(value: Any) -> Iterator[str]:
    """Yield the refs of all parts in plain values."""
    if isinstance(value, str) and ":" in value and value.partition(":")[0].replace(".", "_").isidentifier():
        yield value.partition(":")[0]
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _refs(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _refs(each)


def _sources(package: str) -> str:
    """Return a text that changes with the files of a package's code; "" where there is no such package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return ""
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    facts = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def finished_model(ready: "Ready", cell: str) -> Model | None:
    """Return the model of this very cell where its folder has it whole, else None: it is then trained."""
    folder = ready.checked.folder
    if not (folder / META).is_file():
        return None
    try:
        meta = read_bundle(folder)
    except BundleError:
        return None  # damaged, or of a newer format: a whole one takes its place, as one of another cell would
    training = meta.get("training") or {}
    if training.get("cell") != cell or training.get("stopped") == "stop request":
        return None
    report = Path(ready.job.folder) / "report.html"
    return Model(meta, folder, ready.checked.spark, report=report if report.is_file() else None)
