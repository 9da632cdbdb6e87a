"""The runs that a run folder keeps, as a person sees them."""

import json
import subprocess
import sys
import time

import pytest

from sparknn_magic.cli import main
from sparknn_magic.errors import TrainError, UnknownName
from sparknn_magic.kept_runs import recorded, runs

SPEC = {"task": "image-classification", "data": {"train": "products"}, "model": {"resnet9": {"width": 8}}}
FACTS = {"name": "fashion", "task": "image-classification", "spec": SPEC | {"train": {"epochs": 10}}, "epochs": 10}


def run_of(root, key="fashion/0123456789ab", **told):
    """Keep a run that finishes at once."""
    with recorded(root / key, **FACTS) as kept:
        kept.update(told)


def epochs_of(folder, done, best):
    """Write a log with so many epochs."""
    folder.mkdir(parents=True, exist_ok=True)
    events = [
        {"event": "epoch", "epoch": n, "epochs": 10, "best_epoch": best, "figure": "accuracy"}
        | {"validation_accuracy": 0.5 + n / 100}
        for n in range(1, done + 1)
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in events))


def test_a_finished_run_tells_its_figure_its_network_and_the_models_size(tmp_path):
    run_of(tmp_path, best=("accuracy", 0.9137), measured_on="test", size_bytes=417_000, epoch=10)
    text = repr(runs(tmp_path))
    assert "fashion/0123456789ab" in text
    assert "finished, 10 epochs" in text
    assert "resnet9 {width: 8}, epochs 10" in text
    assert "accuracy 91.37% (test)" in text
    assert "417 kB" in text


def test_an_interrupted_run_tells_at_which_epoch_and_how_good_it_was(tmp_path):
    folder = tmp_path / "fashion" / "0123456789ab"
    epochs_of(folder, done=3, best=2)
    with pytest.raises(KeyboardInterrupt), recorded(folder, **FACTS):
        raise KeyboardInterrupt
    (run,) = runs(tmp_path)
    assert run.state == "interrupted"
    assert "interrupted at epoch 3 of 10" in repr(runs(tmp_path))
    assert "validation accuracy 52.00%" in repr(run)


def test_a_failed_run_keeps_its_reason(tmp_path):
    with pytest.raises(TrainError), recorded(tmp_path / "fashion" / "a", **FACTS):
        raise TrainError("the loss is nan in a batch of 32 rows.")
    assert "failed: the loss is nan in a batch of 32 rows." in repr(runs(tmp_path)[0])


def test_a_run_whose_process_was_killed_counts_as_interrupted(tmp_path):
    folder = tmp_path / "fashion" / "a"
    code = (
        "import os\nfrom sparknn_magic.kept_runs import recorded\n"
        f"with recorded({str(folder)!r}, name='fashion', epochs=10): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert runs(tmp_path)[0].state == "interrupted"
    assert "interrupted before its first epoch ended" in repr(runs(tmp_path))


def test_a_run_that_goes_on_in_this_process_is_running(tmp_path):
    with recorded(tmp_path / "fashion" / "a", **FACTS):
        assert runs(tmp_path)[0].state == "running"


def test_a_run_of_an_older_version_is_known_by_its_log(tmp_path):
    epochs_of(tmp_path / "fashion" / "a", done=4, best=4)
    assert "interrupted at epoch 4 of 10" in repr(runs(tmp_path))
    (tmp_path / "fashion" / "a" / "report.html").write_text("")
    assert "finished, 4 epochs" in repr(runs(tmp_path))


def test_prepared_rows_are_no_runs_and_the_newest_run_stands_first(tmp_path):
    (tmp_path / "prepared" / "abc").mkdir(parents=True)
    (tmp_path / "prepared" / "abc" / "events.jsonl").write_text("")
    run_of(tmp_path, "first/a")
    time.sleep(0.01)
    run_of(tmp_path, "second/a")
    assert [run.key for run in runs(tmp_path)] == ["second/a", "first/a"]


def test_one_run_is_shown_with_its_whole_experiment(tmp_path):
    run_of(tmp_path, best=("accuracy", 0.9), measured_on="test")
    shown = repr(runs(tmp_path).find("fashion/0123"))
    assert "train: products" in shown
    assert "run fashion/0123456789ab" in shown


def test_a_name_that_no_run_has_is_answered_with_the_nearest(tmp_path):
    run_of(tmp_path)
    with pytest.raises(UnknownName, match=r"there is no run named 'fashon'\. Did you mean 'fashion'"):
        runs(tmp_path).find("fashon")
    with pytest.raises(UnknownName, match="keeps none"):
        runs(tmp_path / "elsewhere").find("fashion")


def test_an_empty_folder_says_so(tmp_path):
    assert "keeps no runs yet" in repr(runs(tmp_path))


def test_what_a_run_says_is_text_in_html(tmp_path):
    hostile = "<img src=x onerror=alert(1)>"
    with pytest.raises(TrainError), recorded(tmp_path / "fashion" / "a", **FACTS | {"spec": {"model": hostile}}):
        raise TrainError(hostile)
    found = runs(tmp_path)
    for html in (found._repr_html_(), found[0]._repr_html_()):
        assert "<img" not in html
        assert "&lt;img src=x" in html


def test_the_shell_lists_runs_and_shows_one(tmp_path, capsys):
    run_of(tmp_path, best=("accuracy", 0.9), measured_on="test")
    assert main(["runs", "--runs", str(tmp_path)]) == 0
    assert "1 run in" in capsys.readouterr().out
    assert main(["runs", "fashion", "--runs", str(tmp_path)]) == 0
    assert "train: products" in capsys.readouterr().out
    assert main(["runs", "fashon", "--runs", str(tmp_path)]) == 1
    assert "Did you mean 'fashion'?" in capsys.readouterr().err
