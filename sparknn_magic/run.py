"""The whole flow, a line for each stage. Every door (cell, Python call, shell) comes here."""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknn_magic import shipping
from sparknn_magic.bundle.folder import CARD, MODEL, check_target, new_bundle, sha256, write_meta
from sparknn_magic.errors import SparkNNError, did_you_mean
from sparknn_magic.model import Model
from sparknn_magic.plugin import Part
from sparknn_magic.sessions import adopt, session
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import Resolved, ResolvedLayers, ResolvedStep, resolve
from sparknn_magic.task import Task
from sparknn_magic.training.job import Fitted, TrainJob

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Listener = Callable[[dict[str, Any]], None]
STAGES = ("check", "prepare", "train", "export", "evaluate")
CACHE_SHARE = 0.25  # of a machine's memory for one rank's rows


@dataclass(frozen=True)
class Checked:
    """An experiment with everything that could be checked before rows are read."""

    experiment: Experiment
    resolved: Resolved
    task: Task
    spark: "SparkSession"
    plan: Any  # the task's
    workers: int
    name: str
    folder: Path  # of the model


def train(
    spec: Any,
    *,
    spark: "SparkSession | None" = None,
    name: str | None = None,
    overrides: Iterable[str] = (),
    variables: Mapping[str, Any] | None = None,
    on_event: Listener | None = None,
    runs: str | Path | None = None,
    fresh: bool = False,
) -> Model:
    """Prepare rows on Spark, train on its executors, export, check, evaluate, publish and register the model.

    `spec` is a dict, YAML text, a YAML file's path or an Experiment; `overrides` are `key.path=value` words;
    `variables` what `${name}` and names of DataFrames are looked up in. `on_event` receives progress as dicts; without
    it a line for each stage and epoch is printed. `runs` is the folder of prepared data, checkpoints and reports
    (default: $SPARKNN_RUNS or ./sparknn_runs). `fresh` neither takes up a checkpoint nor prepared data.

    Raises: SparkNNError of one or two lines.
    """
    tell = on_event or _printer()
    with _stage(tell, "check"):
        checked = check(spec, spark=spark, name=name, overrides=overrides, variables=variables)
    runs = Path(runs or os.environ.get("SPARKNN_RUNS") or "sparknn_runs").absolute()
    with _stage(tell, "prepare") as done:
        prepared = checked.task.prepare(checked.plan, f"{runs}/prepared", fresh=fresh)
        done.update(rows=prepared.rows, dropped=prepared.dropped, classes=len(prepared.classes), reused=prepared.reused)
    job, parameters = _train_job(checked, prepared, runs)
    with _stage(tell, "train"):
        fitted = _fit(checked, prepared, job, tell, fresh)
    with new_bundle(checked.folder) as partial:
        with _stage(tell, "export") as done:
            meta = _meta(checked, prepared, job, fitted, parameters)
            exported = checked.task.export(job, fitted.weights, prepared, checked.spark, partial, meta)
            meta = meta | exported
            done.update(exported["parity"])
        with _stage(tell, "evaluate") as done:
            meta = _evaluate(checked, meta, partial, Path(job.folder) / "report.html")
            told = {key: meta["metrics"].get(key) for key in (checked.task.figure, "r2", "rows")}
            done.update(figure=checked.task.figure, **told)
    return _published(checked, meta, job)


def check(
    spec: Any,
    *,
    spark: "SparkSession | None" = None,
    name: str | None = None,
    overrides: Iterable[str] = (),
    variables: Mapping[str, Any] | None = None,
) -> Checked:
    """Check names, options, columns, types, slots and the export folder; read no rows."""
    from sparknn_magic.infer.spark import check_name
    from sparknn_magic.training.spark import choose_workers

    if isinstance(spec, Experiment) and name is None and not overrides:
        experiment = spec  # with its places in the cell
    else:
        experiment = Experiment.load(spec, name=name, overrides=overrides, variables=variables)
    _check_extras()
    resolved = resolve(experiment)
    spark = adopt(spark) if spark is not None else session()
    model_name = experiment.name or "model"
    folder = Path(experiment.export or f"models/{model_name}").absolute()
    with _placed(experiment, ("export",)):
        check_target(folder)
    with _placed(experiment, ("name",)):
        check_name(spark, model_name)
    with _placed(experiment, ("train", "workers")):
        workers = choose_workers(spark, experiment.train.workers)
    task: Task = resolved.task.build()
    _check_figure(experiment, task)
    plan = task.plan(spark, experiment, resolved, _frame_names(variables))
    return Checked(experiment, resolved, task, spark, plan, workers, model_name, folder)


def dry_run(spec: Any, **options: Any) -> dict[str, Any]:
    """Check everything that can be checked without training; return the plan that `show.text.plan_text` words.

    Takes the options of `check`. Looks at labels and picture headers by one Spark job, and builds the network.
    """
    from sparknn_magic import cluster
    from sparknn_magic.show.words import near

    checked = check(spec, **options)
    experiment, found = checked.experiment, checked.task.inspect(checked.plan)
    network = _build(checked, found)
    plain = experiment.to_dict()
    return {
        "name": checked.name,
        "task": experiment.task,
        "source": experiment.data.train.value,
        "columns": checked.plan.columns,
        "splits": {key: plain["data"][key] for key in ("validation", "test") if plain["data"].get(key) is not None},
        "preprocess": [{"name": s.item.name, "options": dict(s.options)} for s in checked.resolved.preprocess],
        "input": asdict(found.inputs),
        "classes": len(found.classes),
        "model": {
            "name": checked.resolved.model.item.name,
            "options": dict(checked.resolved.model.options),
            "parameters": _parameters(network),
        },
        **_layers(checked.resolved.model, network),
        "train": {k: v for k, v in plain["train"].items() if v is not None and k != "workers"},
        "workers": checked.workers,
        "slots": cluster.slots(checked.spark),
        "export": near(checked.folder),
    }


def _layers(model: ResolvedStep, network: Any) -> dict[str, Any]:
    """Return what the plan says of a list of layers: each one's shape and parameters, and what was changed."""
    from sparknn_magic.layers import table

    return {"layers": table(network), "notes": list(model.notes)} if isinstance(model, ResolvedLayers) else {}


def evaluation_rows(spark: "SparkSession", experiment: Experiment) -> tuple["DataFrame", str]:
    """Return the rows that an experiment is judged on, and which they are: "test", "validation" or "train"."""
    resolved = resolve(experiment)
    plan = resolved.task.build().plan(spark, experiment, resolved, ())
    return _held_out(plan)


def _held_out(plan: Any) -> tuple["DataFrame", str]:
    """Return the test rows; where there are none the validation rows, and without those the training rows."""
    found = ((getattr(plan, split), split) for split in ("test", "validation", "train"))
    return next((frame, split) for frame, split in found if frame is not None)


def _check_figure(experiment: Experiment, task: Task) -> None:
    """Raise SpecError where early stopping is to watch a figure that the task does not report."""
    stopping, known = experiment.train.early_stopping, ["validation_loss", f"validation_{task.figure}"]
    if stopping is not None and stopping.metric not in known:
        raise experiment.error(
            ("train", "early_stopping", "metric"),
            f"there is no figure '{stopping.metric}' to watch.{did_you_mean(stopping.metric, known)}",
            hint=f"Known: {', '.join(known)}.",
        )


def _check_extras() -> None:
    from importlib.util import find_spec

    from sparknn_magic.errors import MissingExtra

    missing = [name for name in ("torch", "onnx", "onnxscript", "safetensors") if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"training needs {', '.join(missing)}: pip install 'sparknn-magic[train]'")


@contextmanager
def _placed(experiment: Experiment, path: tuple[str, ...]) -> Iterator[None]:
    """Give an error of the block the line and column of the key it is about."""
    try:
        yield
    except SparkNNError as error:
        if error.line is not None:
            raise
        where = path if experiment.where(*path) else path[:1]
        raise experiment.error(where, error.message, hint=error.hint, kind=type(error)) from error


def _frame_names(variables: Mapping[str, Any] | None) -> list[str]:
    from sparknn_magic.spec.values import is_frame

    return [key for key, value in (variables or {}).items() if not key.startswith("_") and is_frame(value)]


def _build(checked: Checked, found: Any) -> Any:
    """Build the network on the driver: an architecture's objections come with their place, before any work."""
    model, experiment = checked.resolved.model, checked.experiment
    try:
        return model.part.build(found.inputs, checked.task.outputs(found))
    except SparkNNError as error:
        where = model.where(error)
        raise experiment.error(where, error.message, hint=error.hint, key=len(where) > 1) from error
    except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        reason = str(error).split("\n")[0]
        size = ", ".join(f"{key} {value}" for key, value in asdict(found.inputs).items())
        raise experiment.error(("model",), f"{model.item.name} cannot be built for {size}: {reason}") from error


def _parameters(network: Any) -> int:
    return sum(p.numel() for p in network.parameters())


def _train_job(checked: Checked, prepared: Any, runs: Path) -> tuple[TrainJob, int]:
    """Return the job for every rank, and the network's number of parameters."""
    from sparknn_magic.cluster import task_cpus

    parameters = _parameters(_build(checked, prepared))
    resolved, train, task = checked.resolved, checked.experiment.train, checked.task
    stopping = train.early_stopping
    watch = stopping.metric if stopping else task.watch
    job = TrainJob(
        attempt=uuid.uuid4().hex,
        folder="",
        fingerprint="",
        architecture=resolved.model.part,
        rows=task.training_rows(prepared),
        outputs=task.outputs(prepared),
        target=task.target(prepared),
        figure=task.figure,
        measure=Part(task.measure),
        loss=resolved.loss.part,
        optimizer=resolved.optimizer.part,
        schedule=resolved.schedule.part,
        augment=tuple(step.part for step in resolved.augment),
        epochs=train.epochs,
        batch_size=train.batch_size,
        warmup=train.warmup,
        precision=train.precision,
        clip_norm=train.clip_norm,
        patience=stopping.patience if stopping else None,
        watch=watch,
        lower=watch == "validation_loss" or task.lower,
        seed=train.seed,
        device=train.device,
        threads=task_cpus(checked.spark),
    )
    identity = json.dumps(
        [asdict(replace(job, attempt="")), prepared.uri, checked.workers], sort_keys=True, default=str
    )
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()
    folder = runs / checked.name / fingerprint[:12]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cache = int(memory * CACHE_SHARE / checked.workers)
    return replace(job, folder=str(folder), fingerprint=fingerprint, cache_bytes=cache), parameters


def _fit(checked: Checked, prepared: Any, job: TrainJob, tell: Listener, fresh: bool) -> Fitted:
    from sparknn_magic.training import checkpoint
    from sparknn_magic.training.spark import fit, open_events

    if fresh:
        checkpoint.remove(job.folder)
    events = open_events(checked.spark, job.folder, job.attempt)
    try:
        rows = prepared.frame(checked.spark)
        return fit(checked.spark, rows, replace(job, channel=events.channel), checked.workers, events, tell)
    finally:
        events.close()


def _meta(checked: Checked, prepared: Any, job: TrainJob, fitted: Fitted, parameters: int) -> dict[str, Any]:
    """Return what bundle.json says before the file has been exported and evaluated."""
    model = checked.resolved.model
    training = {k: v for k, v in asdict(fitted).items() if k != "weights"}
    return {
        "name": checked.name,
        "task": checked.experiment.task,
        "spec": checked.experiment.to_dict(),
        **checked.task.describe(prepared),
        "preprocess": [shipping.describe(step.item, step.part) for step in checked.resolved.preprocess],
        "model": model.describe()
        | {"parameters": parameters, "source": model.item.source, "licence": model.item.licence},
        "training": training
        | {
            "epochs": len(fitted.history),
            "seed": job.seed,
            "batch_size": job.batch_size,
            "figure": job.figure,
            "fingerprint": job.fingerprint,
        },
        "rows": dict(prepared.rows) | {"dropped": prepared.dropped},
    }


def _evaluate(checked: Checked, meta: dict[str, Any], folder: Path, report: Path) -> dict[str, Any]:
    """Score the held-out rows with the exported file by Spark; write bundle.json, the card and the report."""
    from sparknn_magic.show.card import model_card

    frame, split = _held_out(checked.plan)
    meta = meta | {"files": {MODEL: sha256(folder / MODEL)}, "size_bytes": (folder / MODEL).stat().st_size}
    # Kept while the metrics and the report's examples look at it: the model runs once on each row.
    scored = Model(meta, folder, checked.spark).predict(frame).persist()
    try:
        metrics = checked.task.evaluate(scored, meta)
        rows = meta["rows"] | ({"test": metrics["rows"]} if split == "test" else {})
        meta = meta | {"metrics": metrics, "evaluated_on": split, "rows": rows}
        (folder / CARD).write_text(model_card(meta), encoding="utf-8")
        meta = write_meta(folder, meta)
        report.parent.mkdir(parents=True, exist_ok=True)
        checked.task.report(report, scored, meta)
    finally:
        scored.unpersist()
    return meta


def _published(checked: Checked, meta: dict[str, Any], job: TrainJob) -> Model:
    from sparknn_magic.training import checkpoint

    checkpoint.remove(job.folder)  # the model is whole: the next run of this cell is a new one
    model = Model(meta, checked.folder, checked.spark, report=Path(job.folder) / "report.html")
    model._test = _held_out(checked.plan)[0]
    return model.register()


@contextmanager
def _stage(tell: Listener, stage: str) -> Iterator[dict[str, Any]]:
    """Tell when a stage starts and ends; what the block adds to the dict it gets goes along."""
    started = time.perf_counter()
    tell({"event": "stage", "stage": stage, "state": "start"})
    done: dict[str, Any] = {}
    try:
        yield done
    except BaseException:
        tell({"event": "stage", "stage": stage, "state": "failed", "seconds": time.perf_counter() - started})
        raise
    tell({"event": "stage", "stage": stage, "state": "done", "seconds": time.perf_counter() - started, **done})


def _printer() -> Listener:
    from sparknn_magic.show.progress import Lines

    return Lines()
