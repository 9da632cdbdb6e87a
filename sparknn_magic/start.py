"""What training starts from: older weights, frozen parts, the optimizer, checked on the driver; and the ranks' job."""

import atexit
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknn_magic.bundle.folder import META, WEIGHTS, read_bundle, sha256
from sparknn_magic.errors import SparkNNError, SpecError, did_you_mean
from sparknn_magic.plugin import Part
from sparknn_magic.settings import models_folder
from sparknn_magic.show.words import near, plural
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import Resolved
from sparknn_magic.task import Task
from sparknn_magic.training.job import AUTO, Fitted, Pretrained, TrainJob

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparknn_magic.run import Checked
    from sparknn_magic.spec.training import TrainSpec

CACHE_SHARE = 0.25  # of a machine's memory for one rank's rows


@dataclass(frozen=True)
class Older:
    """Another model's weights, and what of them is not taken."""

    file: Path
    digest: str
    fresh: tuple[str, ...]  # the last layer's, where the classes are others
    note: str  # for the user

    def shipped(self, spark: "SparkSession") -> Pretrained:
        """Make the file known to the executors."""
        from sparknn_magic.infer.spark import ship

        return Pretrained(ship(self.file, self.digest, spark), self.fresh)


def check_export(experiment: Experiment, task: Task) -> None:
    """Raise SpecError where a tokenizer is to stand in the graph of a model that reads no texts."""
    if experiment.export is not None and experiment.export.tokenizer_in_graph and not task.strings:
        message = f"{experiment.task} writes no file that takes texts."
        raise experiment.error(("export", "tokenizer_in_graph"), message, hint="Leave tokenizer_in_graph out.")


def check_figure(experiment: Experiment, task: Task) -> None:
    """Raise SpecError where early stopping is to watch a figure that the task does not report."""
    stopping, known = experiment.train.early_stopping, ["validation_loss", f"validation_{task.figure}"]
    if stopping is not None and stopping.metric is not None and stopping.metric not in known:
        raise experiment.error(
            ("train", "early_stopping", "metric"),
            f"there is no figure '{stopping.metric}' to watch.{did_you_mean(stopping.metric, known)}",
            hint=f"Known: {', '.join(known)}.",
        )


def check_start(
    experiment: Experiment, resolved: Resolved, network: Any, outputs: int, classes: Sequence[str]
) -> Older | None:
    """Check what `train:` says of the network itself; return the weights that it starts from, where it names some.

    Raises: SpecError, BundleError with the line and column of what is wrong.
    """
    from sparknn_magic.training import freezing
    from sparknn_magic.training.groups import parameter_groups

    train = experiment.train
    try:
        for n, pattern in enumerate(train.freeze or ()):
            here: tuple[str | int, ...] = ("train", "freeze", n)
            freezing.matching(network, pattern)
        here = ("train", "freeze")
        freezing.check(network, train.freeze or (), train.unfreeze_after is not None)
        here = ("train", "layer_decay")
        groups = parameter_groups(network, layer_decay=train.layer_decay)
        here = ("train", "optimizer")
        _check_optimizer(experiment, resolved, groups)
        here = ("train", "pretrained")
        return _older(train.pretrained, network, outputs, classes) if train.pretrained is not None else None
    except SparkNNError as error:
        if error.line is not None:
            raise
        raise experiment.error(here, error.message, hint=error.hint, kind=type(error)) from error


def _check_optimizer(experiment: Experiment, resolved: Resolved, groups: list[dict[str, Any]]) -> None:
    """Build the optimizer for this very network, so that what it cannot train is said now."""
    from sparknn_magic.training.groups import base_rates

    item = resolved.optimizer.item
    try:
        optimizer = resolved.optimizer.part.build(groups)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise SpecError(f"{item.name} cannot train this network: {reason}") from error
    base_rates(optimizer, experiment.train.layer_decay)
    if getattr(optimizer, "needs_closure", False) and experiment.train.precision == "float16":
        message = f"{item.name} cannot be used with float16, whose gradients are scaled from step to step."
        raise experiment.error(("train", "precision"), message, hint="Write precision: float32 or bfloat16.")


def check_older(written: str | None) -> None:
    """Raise BundleError where there is no whole model in the folder that training is to start from."""
    if written is not None:
        read_bundle(_folder(written))


def _folder(written: str) -> Path:
    return next((f for f in (Path(written), models_folder() / written) if (f / META).is_file()), Path(written))


def _older(written: str, network: Any, outputs: int, classes: Sequence[str]) -> Older:
    from sparknn_magic.training import pretrained

    folder = _folder(written)
    meta = read_bundle(folder)
    file = folder / WEIGHTS
    if WEIGHTS not in meta["files"]:
        raise SpecError(f"'{near(folder)}' has no {WEIGHTS}, which training would start from.")
    there = list(meta.get("classes") or [])
    head = pretrained.head_of(network, outputs)
    try:
        fresh = pretrained.fitting(network, pretrained.shapes_in(file), head, there == list(classes))
    except SparkNNError as error:
        model = (meta.get("model") or {}).get("name", "another architecture")
        message = f"'{near(folder)}' is a {model}: {error.message}"
        raise type(error)(message, hint="Write the same architecture with the same options and input size.") from error
    note = f"starts from the weights of {near(folder)}"
    if fresh:
        others = f"{plural(len(there), 'class', 'classes')} there, {len(classes)} here"
        note += f", but for the last layer ({', '.join(fresh)}), which starts anew: "
        note += others if len(there) != len(classes) else "its classes are others"
    return Older(file.absolute(), meta["files"][WEIGHTS], fresh, f"{note}.")


def with_files(network: Any, part: Part) -> tuple[Part, Older | None]:
    """Return what executors build the network from, and the weights that it has read from files on the driver.

    An architecture that takes files of a pretrained network says in `rebuild` which options give the same network
    without them: executors need not see the files, they get the weights.
    """
    rebuild = getattr(network, "rebuild", None)
    if rebuild is None:
        return part, None
    from safetensors.torch import save_file

    whole = replace(part, options={**part.options, **rebuild})
    if part.options.get("pretrained") is None:
        return whole, None
    folder = Path(tempfile.mkdtemp(prefix="sparknn-weights-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / WEIGHTS
    save_file({name: tensor.detach().clone() for name, tensor in network.state_dict().items()}, file)
    said = [f"starts from the weights of {part.options['pretrained']}.", getattr(network, "note", "")]
    return whole, Older(file, sha256(file), (), " ".join(filter(None, said)))


def untrained(network: Any, part: Part, files: Older | None) -> Fitted:
    """Return the weights that a network was built with, in place of those of a training run."""
    from safetensors.torch import save

    if files is not None:
        weights = files.file.read_bytes()
    else:
        weights = save({name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()})
    return Fitted(
        weights=weights,
        history=[],
        best_epoch=0,
        seconds=0.0,
        rows_per_second=0.0,
        device="cpu",
        precision="float32",
        workers=0,
        batch_size=0,
        notes=[f"nothing was trained: the weights are those of {part.options.get('pretrained') or 'the network'}."],
    )


def watched(train: "TrainSpec", task: Task) -> str:
    """Return the figure of an epoch that decides which one is exported, and when training stops early."""
    return (train.early_stopping.metric if train.early_stopping else None) or task.watch


def train_job(
    checked: "Checked", prepared: Any, older: Older | None, runs: Path, architecture: Part | None = None
) -> TrainJob:
    """Return the job for every rank; `architecture` is the model's own part where it is not given."""
    from sparknn_magic.cluster import task_cpus

    resolved, train, task = checked.resolved, checked.experiment.train, checked.task
    stopping, watch = train.early_stopping, watched(train, task)
    job = TrainJob(
        attempt=uuid.uuid4().hex,
        folder="",
        fingerprint="",
        architecture=architecture or resolved.model.part,
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
        batch_size=AUTO if train.batch_size == "auto" else train.batch_size,
        accumulate=train.accumulate,
        ema=train.ema,
        layer_decay=train.layer_decay,
        freeze=train.freeze or (),
        unfreeze_after=train.unfreeze_after,
        pretrained=older.shipped(checked.spark) if older is not None else None,
        time_limit=train.time_limit,
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
    return replace(job, folder=str(folder), fingerprint=fingerprint, cache_bytes=cache)
