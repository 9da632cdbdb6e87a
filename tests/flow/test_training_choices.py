"""What a cell chooses under `train:` on Spark, whole: older weights, frozen parts, averaging, a time limit, a sweep."""

import json

import pytest

import sparknn_magic
from sparknn_magic.errors import BundleError, SparkNNError, SpecError
from tests.flow.small import CELL, views


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("choices")


@pytest.fixture(scope="module")
def older(spark, home):
    """A model of all ten classes."""
    views(spark)
    cell = CELL.replace("epochs: 2", "epochs: 1") + f"export: {home / 'older'}\n"
    return sparknn_magic.train(cell, name="older", spark=spark, runs=home / "runs", on_event=lambda event: None)


FEW = CELL.replace("SELECT image, label FROM products", "SELECT image, label FROM products WHERE label LIKE 'S%'")
FEW = FEW.replace("  test: products_test\n", "").replace("random_horizontal_flip", "random_horizontal_flip\n- mixup")


def test_a_model_of_other_classes_starts_from_older_weights_and_says_so(older, spark, home):
    views(spark)
    cell = FEW.replace(
        "  epochs: 2\n",
        "  epochs: 3\n  ema: 0.9\n  accumulate: 2\n  freeze: [features*, conv*]\n  unfreeze_after: 2\n"
        f"  pretrained: {home / 'older'}\n  time_limit: 10m\n  optimizer: {{lion: 1e-3}}\n",
    )
    names = [name for name, _ in _network(older).named_children()]
    cell = cell.replace("[features*, conv*]", f"[{names[0]}]") + f"export: {home / 'few'}\n"
    plan = sparknn_magic.dry_run(cell, name="few", spark=spark)
    assert "but for the last layer" in plan["pretrained"]
    assert "10 classes there, 3 here" in plan["pretrained"]
    events = []
    model = sparknn_magic.train(cell, name="few", spark=spark, runs=home / "runs", on_event=events.append)
    assert model.classes == ["Sandal", "Shirt", "Sneaker"]
    assert [e["message"] for e in events if e["event"] == "note"] == [plan["pretrained"]]
    training = json.loads((model.folder / "bundle.json").read_text())["training"]
    assert training["notes"] == [plan["pretrained"]]
    assert training["batch_size"] == 32
    assert training["stopped"] == ""
    assert len(training["history"]) == 3
    assert model.meta["parity"]["changed_decisions"] == 0


def _network(model):
    from sparknn_magic.plugin import ImageInputs
    from sparknn_zoo.vision.lenet import lenet5

    return lenet5(ImageInputs(1, 28, 28), len(model.classes))


def test_a_time_limit_ends_training_and_the_model_is_published(spark, home):
    views(spark)
    cell = CELL.replace("epochs: 2", "epochs: 50\n  time_limit: 0.5s\n  batch_size: auto").replace(
        "  batch_size: 32\n", ""
    )
    events = []
    cell += f"export: {home / 'short'}\n"
    model = sparknn_magic.train(cell, name="short", spark=spark, runs=home / "runs", on_event=events.append)
    assert model.meta["training"]["stopped"] == "time limit"
    assert 1 <= len(model.history) < 50
    notes = [e["message"] for e in events if e["event"] == "note"]
    assert notes[0] == f"batch_size: auto is {model.meta['training']['batch_size']} rows a worker."
    assert notes[1].startswith("time_limit: 0.5 seconds had passed at step")


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ("pretrained: nowhere", BundleError, r"line 13, column 15: there is no model in 'nowhere'"),
        ("freeze: [conv9]", SpecError, r"line 13, column 12: the network has no part named 'conv9'"),
        ("optimizer: sparse_adam", SpecError, r"line 13, column 14: sparse_adam takes sparse gradients alone"),
        ("freeze: '*'", SpecError, r"line 13, column 11: train.freeze leaves nothing to train"),
    ],
)
def test_what_does_not_fit_the_network_is_told_by_a_dry_run_at_its_place(change, kind, words, spark, home):
    views(spark)
    with pytest.raises(kind, match=words) as caught:
        sparknn_magic.dry_run(CELL + f"  {change}\n", name="wrong", spark=spark)
    assert len(str(caught.value).splitlines()) <= 2


def test_weights_of_another_architecture_are_refused_at_their_place(older, spark, home):
    views(spark)
    cell = CELL.replace("lenet5", "mlp") + f"  pretrained: {home / 'older'}\n"
    with pytest.raises(BundleError, match=r"line 13, column 15: '.*older' is a lenet5: its weights do not fit"):
        sparknn_magic.dry_run(cell, name="wrong", spark=spark)


def test_a_sweep_on_spark_suggests_a_rate_and_writes_no_model(spark, home):
    views(spark)
    events = []
    cell = CELL + f"export: {home / 'swept'}\n"
    asked = {"name": "swept", "spark": spark, "runs": home / "runs", "on_event": events.append}
    found = sparknn_magic.lr_find(cell, steps=60, start=1e-5, end=1.0, **asked)
    assert 1e-5 < found.suggestion < 1.0
    assert found.rates[0] == pytest.approx(1e-5)
    assert len(found.losses) == len(found.rates) <= 60
    assert "data:image/svg+xml" in found._repr_html_()
    assert not (home / "swept").exists()
    assert [e["stage"] for e in events if e["event"] == "stage" and e["state"] == "done"] == [
        "check",
        "prepare",
        "train",
    ]


def test_a_sweep_with_impossible_rates_is_refused_at_once():
    with pytest.raises(SparkNNError, match=r"lr-find: the rates go from 1 to 0.1; the first must be above 0"):
        sparknn_magic.lr_find(CELL, start=1.0, end=0.1)
    with pytest.raises(SparkNNError, match="lr-find: steps is 3; it must be at least 8"):
        sparknn_magic.lr_find(CELL, steps=3)
