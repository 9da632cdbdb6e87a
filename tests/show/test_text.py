"""The words of the tables, as a person reads them in a terminal."""

from sparknn_magic.show.text import metrics_table, model_text, plan_text

METRICS = {
    "rows": 2000,
    "errors": 0,
    "unknown_labels": 0,
    "accuracy": 0.9,
    "top5_accuracy": None,
    "log_loss": 0.31234,
    "baseline_accuracy": 0.7,
    "macro": {"precision": 0.85, "recall": 0.86, "f1": 0.855},
    "weighted": {"precision": 0.9, "recall": 0.9, "f1": 0.9},
    "per_class": [
        {"label": "cat", "precision": 0.9, "recall": 0.95, "f1": 0.92, "support": 1400},
        {"label": "dog\n", "precision": 0.8, "recall": 0.77, "f1": 0.79, "support": 600},
    ],
    "confusion": [[1330, 70], [138, 462]],
}


def test_the_metrics_table_word_for_word():
    assert metrics_table(METRICS) == (
        "rows       2,000\n"
        "accuracy  0.9000  always the most frequent class: 0.7000\n"
        "macro F1  0.8550  mean over the classes\n"
        "log loss  0.3123  nats a row\n"
        "\n"
        "class             precision  recall      F1   rows\n"
        "--------------------------------------------------\n"
        "cat                  0.9000  0.9500  0.9200  1,400\n"
        "dog\\n                0.8000  0.7700  0.7900    600\n"
        "--------------------------------------------------\n"
        "macro average        0.8500  0.8600  0.8550  2,000\n"
        "weighted average     0.9000  0.9000  0.9000  2,000\n"
    )


def test_rows_that_were_not_counted_are_said():
    text = metrics_table(METRICS | {"errors": 3, "unknown_labels": 1200}, evaluated_on="test")
    assert "of the test split, not counted: 3 without a prediction, 1,200 with an unknown label" in text


def test_of_many_classes_the_worst_are_shown_and_the_rest_counted(make_metrics):
    metrics = make_metrics([f"class {i}" for i in range(200)], rows=20_000)
    lines = metrics_table(metrics).split("\n")
    assert "… 180 classes with a higher F1, or without rows, left out" in lines
    worst = min(metrics["per_class"], key=lambda c: c["f1"])["label"]
    assert lines[lines.index(next(x for x in lines if x.startswith("---"))) + 1].startswith(worst)
    assert len(lines) < 40


def test_a_long_label_does_not_stretch_the_table(make_metrics, strange):
    assert max(len(line) for line in metrics_table(make_metrics(strange)).split("\n")) < 100


def test_what_show_prints_of_a_model(make_meta):
    text = model_text(make_meta())
    for line in (
        "fashion: image-classification",
        "architecture   resnet8 {width: 16}",
        "parameters     77.8 k (77,850)",
        "classes        10: T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot",
        "input          28 x 28, grey",
        "preprocessing  resize {size: 28}, grayscale",
        "training       10 epochs (best: 7), in 1 min 54 s, batch 256, seed 1",
        "               2 workers on cpu, float32, 8,123 rows/s",
        "rows           9,000 train, 1,000 validation, 2,000 test, 4 dropped (the file is cut short), "
        "1 dropped (label is null)",
        "parity         ONNX Runtime and PyTorch differ by at most 2.4e-07 on 1,000 rows, no decision changed",
        "  model.onnx         321 kB  ab12ab12ab12ab12",
    ):
        assert line in text.split("\n")


def test_a_model_without_metrics_yet_is_shown_with_what_there_is():
    text = model_text({"name": "m", "task": "image-classification", "classes": ["a"]})
    assert "classes        1: a" in text
    assert "None" not in text


def test_control_characters_of_labels_do_not_reach_the_terminal(make_meta):
    meta = make_meta(["a\x1b[31mred", "b"])
    assert "\x1b" not in model_text(meta)
    assert "a\\x1b[31mred" in model_text(meta)


def test_the_plan_of_a_dry_run_word_for_word():
    plan = {
        "name": "fashion",
        "task": "image-classification",
        "source": "SELECT image, label FROM t",
        "columns": [("image", "binary"), ("label", "string")],
        "splits": {"validation": "10%"},
        "preprocess": [{"name": "resize", "options": {"size": 28}}],
        "input": {"h": 28, "w": 28, "c": 1},
        "classes": None,
        "model": {"name": "resnet8", "options": {}, "parameters": 77850},
        "train": {"epochs": 3, "optimizer": {"adamw": {"lr": 0.001}}},
        "workers": 2,
        "slots": 4,
        "export": "models/fashion",
    }
    assert plan_text(plan) == (
        "dry run of fashion: image-classification\n"
        "  source      SELECT image, label FROM t\n"
        "  columns     image binary, label string\n"
        "  splits      validation: 10%\n"
        "  preprocess  resize {size: 28}\n"
        "  input       28 x 28, grey\n"
        "  classes     counted when the rows are read\n"
        "  model       resnet8\n"
        "  parameters  77,850\n"
        "  train       epochs: 3, optimizer: {adamw: {lr: 0.001}}\n"
        "  workers     2 of 4 slots\n"
        "  export      models/fashion\n"
        "Nothing was trained and nothing was written.\n"
    )


def test_a_plan_may_lack_anything():
    assert plan_text({}).startswith("dry run of the experiment\n")
    assert "None" not in plan_text({"model": {}, "train": None, "input": None, "source": None})
