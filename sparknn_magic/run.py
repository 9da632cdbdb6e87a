"""The whole flow, a line for each stage. Every door (cell, Python call, shell) comes here."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknn_magic.bundle.folder import check_target, new_bundle
from sparknn_magic.errors import SparkNNError, SpecError
from sparknn_magic.kept_runs import outcome, recorded
from sparknn_magic.model import Model
from sparknn_magic.outcome import (
    bundle_meta,
    cell_identity,
    evaluate_bundle,
    finished_model,
    held_out,
    plain_spec,
    queries,
)
from sparknn_magic.sessions import adopt, session
from sparknn_magic.settings import models_folder, runs_folder
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import Resolved, ResolvedLayers, ResolvedStep, check_loss, resolve, resolve_rows
from sparknn_magic.spec.values import frame_names
from sparknn_magic.start import (
    Older,
    check_export,
    check_figure,
    check_older,
    check_start,
    train_job,
    untrained,
    with_files,
)
from sparknn_magic.task import Task
from sparknn_magic.training.job import Fitted, TrainJob

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Listener = Callable[[dict[str, Any]], None]
STAGES = ("check", "prepare", "train", "export", "evaluate")


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


@dataclass(frozen=True)
class Ready:
    """An experiment whose rows are prepared: what is left is to train."""

    checked: Checked
    prepared: Any  # the task's
    job: TrainJob
    parameters: int  # of the network
    notes: list[str]  # for the user
    fitted: Fitted | None = None  # of a task that trains nothing


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
    stop: threading.Event | None = None,
) -> Model:
    """Prepare rows on Spark, train on its executors, export, check, evaluate, publish and register the model.

    `spec` is a dict, YAML text, a YAML file's path or an Experiment; `overrides` are `key.path=value` words;
    `variables` what `${name}` and names of DataFrames are looked up in. `on_event` receives progress as dicts; without
    it a line for each stage and epoch is printed. `runs` is the folder of prepared data, checkpoints and reports
    (default: $SPARKNN_RUNS or ./sparknn_runs). Where nothing has changed since this very model was made, it is returned
    as it is; `fresh` takes up neither that nor a checkpoint nor prepared data. Once `stop` is set, training ends after
    the current epoch.

    Raises: SparkNNError of one or two lines.
    """
    tell = on_event or printer()
    asked: dict[str, Any] = {"spark": spark, "name": name, "overrides": overrides, "variables": variables}
    ready = get_ready(spec, tell, runs=runs, fresh=fresh, **asked)
    checked, prepared, job = ready.checked, ready.prepared, ready.job
    cell = cell_identity(ready) if ready.fitted is None else ""
    known = finished_model(ready, cell) if cell and not fresh else None
    if known is not None:
        return _as_it_is(known, checked, tell)
    with recorded(job.folder, **_facts(ready)) as kept:
        if ready.fitted is not None:
            fitted = ready.fitted
            tell({"event": "stage", "stage": "train", "state": "skipped"})
        else:
            with stage(tell, "train"):
                fitted = _fit(ready, tell, fresh, stop)
        with new_bundle(checked.folder) as partial:
            with stage(tell, "export") as done:
                meta = bundle_meta(ready, fitted, cell)
                exported = checked.task.export(job, fitted.weights, prepared, checked.spark, partial, meta)
                meta = meta | exported
                done.update(exported["parity"])
            with stage(tell, "evaluate") as done:
                meta = evaluate_bundle(checked, prepared, meta, partial, Path(job.folder) / "report.html")
                told = {key: meta["metrics"].get(key) for key in (checked.task.figure, "r2", "f1", "map50", "rows")}
                done.update(figure=checked.task.figure, **told)
        kept.update(outcome(meta))
    return _published(checked, meta, job)


def get_ready(spec: Any, tell: Listener, *, runs: str | Path | None = None, fresh: bool = False, **asked: Any) -> Ready:
    """Check the experiment, as `check` does with what it takes by name, and prepare its rows."""
    with stage(tell, "check"):
        checked = check(spec, **asked)
    runs = runs_folder(runs)
    with stage(tell, "prepare") as done:
        prepared = checked.task.prepare(checked.plan, f"{runs}/prepared", fresh=fresh)
        done.update(rows=prepared.rows, dropped=prepared.dropped, classes=len(prepared.classes), reused=prepared.reused)
    network = _build(checked, prepared)
    trains = checked.task.trains
    older = _check_start(checked, prepared, network) if trains else None
    architecture, files = with_files(network, checked.resolved.model.part)
    fitted = None if trains else untrained(network, checked.resolved.model.part, files)
    older = older or files if trains else None
    job = train_job(checked, prepared, older, runs, architecture)
    said = [*checked.resolved.model.notes, *getattr(prepared, "notes", [])]
    notes = [*said, *([older.note] if older is not None else [])]
    for note in notes:
        tell({"event": "note", "message": note})
    return Ready(checked, prepared, job, _parameters(network), notes, fitted)


def check(
    spec: Any,
    *,
    spark: "SparkSession | None" = None,
    name: str | None = None,
    overrides: Iterable[str] = (),
    variables: Mapping[str, Any] | None = None,
) -> Checked:
    """Check names, options, columns, types, metrics, slots and the export folder; read no rows."""
    from sparknn_magic.evaluate.custom import check_cell
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
    wanted = experiment.export.folder if experiment.export is not None else None
    folder = Path(wanted or models_folder() / model_name).absolute()
    with _placed(experiment, ("export",)):
        check_target(folder)
    with _placed(experiment, ("name",)):
        check_name(spark, model_name)
    with _placed(experiment, ("train", "workers")):
        workers = choose_workers(spark, experiment.train.workers)
    with _placed(experiment, ("train", "pretrained")):
        check_older(experiment.train.pretrained)
    task: Task = resolved.task.build()
    check_figure(experiment, task)
    check_export(experiment, task)
    plan = task.plan(spark, experiment, resolved, frame_names(variables))
    check_cell(experiment, held_out(plan)[0], of_classes=task.figure == "accuracy")
    resolved = task.settled(experiment, resolved, plan)
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
    older = _check_start(checked, found, network) if checked.task.trains else None
    plain = plain_spec(checked)
    return {
        "name": checked.name,
        "task": experiment.task,
        "source": experiment.data.train.value,
        "columns": checked.plan.columns,
        "splits": {key: plain["data"][key] for key in ("validation", "test") if plain["data"].get(key) is not None},
        "preprocess": [{"name": s.item.name, "options": dict(s.options)} for s in checked.resolved.preprocess],
        **queries(checked.plan),
        "details": checked.task.details(checked.plan, found),
        "input": asdict(found.inputs),
        "classes": len(found.classes),
        "model": {
            "name": checked.resolved.model.item.name,
            "options": dict(checked.resolved.model.options),
            "parameters": _parameters(network),
        },
        **_layers(checked.resolved.model, network),
        **_graph(checked, found, network),
        "train": {k: v for k, v in plain.get("train", {}).items() if v is not None and k != "workers"},
        "pretrained": older.note if older is not None else None,
        "workers": checked.workers if checked.task.trains else None,
        "slots": cluster.slots(checked.spark),
        "export": near(checked.folder),
    }


def _facts(ready: Ready) -> dict[str, Any]:
    """Return what run.json says of a run before it has begun."""
    checked = ready.checked
    epochs = ready.job.epochs if checked.task.trains else 0
    facts = {"name": checked.name, "task": checked.experiment.task, "model": str(checked.folder), "epochs": epochs}
    return facts | {"spec": plain_spec(checked)}


def _layers(model: ResolvedStep, network: Any) -> dict[str, Any]:
    """Return what the plan says of a list of layers: each one's shape and parameters, and what was changed."""
    from sparknn_magic.layers import table

    return {"layers": table(network), "notes": list(model.notes)} if isinstance(model, ResolvedLayers) else {}


def _graph(checked: Checked, found: Any, network: Any) -> dict[str, Any]:
    """Return the plan's drawing of the network, or why there is none: what is trained need not be drawn."""
    from sparknn_magic.tracing import follow

    try:
        return {"graph": follow(network, found.inputs, title=checked.name)}
    except SpecError as error:
        return {"not_drawn": error.message}


def evaluation_rows(spark: "SparkSession", experiment: Experiment) -> tuple["DataFrame", str]:
    """Return the rows that an experiment is judged on, and which they are: "test", "validation" or "train"."""
    resolved = resolve_rows(experiment)
    plan = resolved.task.build().plan(spark, experiment, resolved, ())
    return held_out(plan)


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


def _build(checked: Checked, found: Any) -> Any:
    """Build the network on the driver, and the loss: objections come with their place, before any work."""
    from sparknn_magic.evaluate.custom import check_names

    model, experiment = checked.resolved.model, checked.experiment
    if checked.task.trains:
        check_loss(experiment, checked.resolved, found.classes)
    check_names(experiment, found.classes)
    import torch

    torch.manual_seed(experiment.train.seed)  # what a pretrained network does not bring is drawn here
    try:
        return model.part.build(found.inputs, checked.task.outputs(found))
    except SparkNNError as error:
        where = model.where(error)
        raise experiment.error(where, error.message, hint=error.hint, key=len(where) > 1) from error
    except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        reason = str(error).split("\n")[0]
        size = ", ".join(f"{key} {value}" for key, value in asdict(found.inputs).items())
        raise experiment.error(("model",), f"{model.item.name} cannot be built for {size}: {reason}") from error


def _check_start(checked: Checked, found: Any, network: Any) -> Older | None:
    return check_start(checked.experiment, checked.resolved, network, checked.task.outputs(found), found.classes)


def _parameters(network: Any) -> int:
    return sum(p.numel() for p in network.parameters())


def _as_it_is(model: Model, checked: Checked, tell: Listener) -> Model:
    """Return a model that was there already, and say so."""
    for name in ("train", "export", "evaluate"):
        tell({"event": "stage", "stage": name, "state": "skipped"})
    made = model.meta["created"].replace("T", " ")
    tell({"event": "note", "message": f"nothing has changed since {made}: this is the model of then (--fresh: anew)."})
    model._test = held_out(checked.plan)[0]
    return model.register()


def _fit(ready: Ready, tell: Listener, fresh: bool, stop: threading.Event | None) -> Fitted:
    from sparknn_magic.training import checkpoint
    from sparknn_magic.training.spark import fit, open_events

    spark, job = ready.checked.spark, ready.job
    if fresh:
        checkpoint.remove(job.folder)
    events = open_events(spark, job.folder, job.attempt)
    try:
        rows = ready.prepared.frame(spark)
        return fit(spark, rows, replace(job, channel=events.channel), ready.checked.workers, events, tell, stop)
    finally:
        events.close()


def _published(checked: Checked, meta: dict[str, Any], job: TrainJob) -> Model:
    from sparknn_magic.training import checkpoint

    checkpoint.remove(job.folder)  # the model is whole: the next run of this cell is a new one
    model = Model(meta, checked.folder, checked.spark, report=Path(job.folder) / "report.html")
    model._test = held_out(checked.plan)[0]
    return model.register()


@contextmanager
def stage(tell: Listener, name: str) -> Iterator[dict[str, Any]]:
    """Tell when a stage starts and ends; what the block adds to the dict it gets goes along."""
    started = time.perf_counter()
    tell({"event": "stage", "stage": name, "state": "start"})
    done: dict[str, Any] = {}
    try:
        yield done
    except BaseException:
        tell({"event": "stage", "stage": name, "state": "failed", "seconds": time.perf_counter() - started})
        raise
    tell({"event": "stage", "stage": name, "state": "done", "seconds": time.perf_counter() - started, **done})


def printer() -> Listener:
    """Return a listener that prints a line for each stage and epoch."""
    from sparknn_magic.show.progress import Lines

    return Lines()
