"""A run as it is followed: the events of a real one, and what is shown after each."""

import os
import pty
import re
from select import select

from sparknn_magic.show.curves import curves
from sparknn_magic.show.live import RunState, epoch_table
from sparknn_magic.show.progress import Lines, event_line
from sparknn_magic.show.rows import rows_html, rows_text


def epoch(number, loss=0.5, accuracy=0.8, validation=(0.6, 0.75), epochs=4, seconds=10.0):
    return {
        "event": "epoch",
        "epoch": number,
        "epochs": epochs,
        "train_loss": loss,
        "train_accuracy": accuracy,
        "validation_loss": validation[0],
        "validation_accuracy": validation[1],
        "seconds": seconds,
        "rows_per_second": 1234.5,
    }


def stage(name, state, **more):
    return {"event": "stage", "stage": name, "state": state, **more}


PREPARED = stage(
    "prepare", "done", seconds=3.0, rows={"train": 8985, "validation": 1015}, classes=10, reused=False, dropped=[]
)


class Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self):
        return self.now


def words(html):
    """Return the text of HTML, its style left out."""
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", html, flags=re.S)).split())


def heard(*events, total=4):
    clock = Clock()
    state = RunState("fashion", clock=clock, total=total)
    for event in events:
        state.hear(event)
        clock.now += 5
    return state


def test_before_anything_is_heard_every_stage_waits():
    assert words(heard().html()) == "training fashion · check · prepare · train · export · evaluate"


def test_a_running_stage_counts_its_seconds_and_a_done_one_keeps_them():
    state = heard(stage("check", "start"), stage("check", "done", seconds=0.4), stage("prepare", "start"))
    assert words(state.html()).startswith("training fashion ✓ check 0.4 s … prepare 5.0 s · train")


def test_the_bar_goes_by_epochs_and_steps_and_the_rest_is_estimated():
    step = {"event": "step", "epoch": 3, "step": 20, "steps": 40, "rows_per_second": 999.6}
    state = heard(PREPARED, stage("train", "start"), epoch(1), epoch(2), step)
    assert 'aria-label="training" aria-valuenow="62.5"' in state.html()  # 2.5 of 4
    assert 'aria-label="this epoch" aria-valuenow="50.0"' in state.html()
    assert "epoch 3 of 4, step 20 of 40, 1,000 rows/s, about 15.0 s left" in words(state.html())  # 1.5 epochs of 10 s


def test_the_workers_and_their_device_stand_beside_the_step():
    start = {"event": "start", "workers": 2, "device": "cpu", "steps": 40}
    state = heard(stage("train", "start"), start)
    assert "starting the workers; 2 workers on cpu" in words(state.html())


def test_sparks_stages_say_how_many_rows_they_did_a_second():
    evaluated = stage("evaluate", "done", seconds=4.0, rows=2000, accuracy=0.9)
    state = heard(PREPARED, evaluated)
    assert "✓ prepare 3.0 s, 3,333 rows/s" in words(state.html())
    assert "✓ evaluate 4.0 s, 500 rows/s" in words(state.html())
    again = heard(PREPARED | {"reused": True})
    assert "rows/s" not in words(again.html())


def test_in_a_terminal_a_bar_runs_below_the_lines_and_goes_away():
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal:
        listener = Lines(terminal)
        for number in (10, 20):
            listener({"event": "step", "epoch": 3, "step": number, "steps": 40, "rows_per_second": 999.6})
        listener(epoch(3))
        seen = ""
        while select([reader], [], [], 1)[0]:  # a terminal hands over what it has so far
            seen += os.read(reader, 65536).decode()
    os.close(reader)
    assert "epoch   3:" in seen
    assert "10/40" in seen
    assert "1,000 rows/s" in seen
    assert seen.rstrip().endswith("epoch   3 of 4: loss 0.5000, accuracy 80.0%; validation 0.6000, 75.0%; 1,234 rows/s")


def test_a_resumed_run_starts_where_the_checkpoint_was():
    resumed = {"event": "resume", "epoch": 2, "epochs": 4}
    state = heard(PREPARED, stage("train", "start"), resumed)
    assert 'aria-valuenow="50.0"' in state.html()
    assert "epoch 3 of 4" in words(state.html())
    assert state.text().endswith("  goes on from the checkpoint of epoch 2 of 4")


def test_the_workers_start_and_the_weights_come_back():
    starting = heard(PREPARED, stage("train", "start"))
    assert "starting the workers" in words(starting.html())
    ended = heard(PREPARED, stage("train", "start"), *(epoch(n) for n in (1, 2, 3, 4)))
    assert "all epochs are done; the weights come back" in words(ended.html())


def test_the_last_four_epochs_are_listed_while_it_runs_and_all_of_them_after():
    state = heard(stage("train", "start"), *(epoch(n, epochs=9) for n in range(1, 8)), total=9)
    running, after = words(state.html()), words(state.summary_html(state.epochs))
    row = "0.5000 80.0% 0.6000 75.0% 1,234"
    assert "rows/s 4 0.5000" in running
    assert f"7 {row}" in running
    assert f"rows/s 1 {row}" in after
    assert f"7 {row}" in after
    assert after.startswith("How the training went")


def test_an_interrupted_stage_says_so():
    state = heard(PREPARED, stage("train", "start"), epoch(1), stage("train", "failed", seconds=12.0))
    state.interrupt()
    assert "✗ train 12.0 s, interrupted" in words(state.html())
    assert "✓ prepare 3.0 s, 3,333 rows/s" in words(state.html())


def test_an_interrupt_before_the_stage_could_tell_is_noted_too():
    state = heard(PREPARED, stage("train", "start"), epoch(1))
    state.interrupt()
    assert "✗ train 10.0 s, interrupted" in words(state.html())
    assert state.text().endswith("train: interrupted after 10.0 s")


def test_the_lines_of_a_run(capsys):
    done = stage("evaluate", "done", seconds=1.0, accuracy=0.914, rows=2000)
    export = stage("export", "done", seconds=2.0, rows=512, max_difference=9.5e-07)
    events = [
        PREPARED | {"dropped": [{"reason": "null label", "rows": 3}]},
        stage("train", "start"),
        {"event": "start", "workers": 2, "device": "cpu", "steps": 72},
        epoch(1),
        epoch(2, validation=(None, None)),
        export,
        done,
        stage("train", "failed", seconds=61),
    ]
    listener = Lines()
    for event in events:
        listener(event)
    assert capsys.readouterr().err.splitlines() == [
        "prepare: 3.0 s, 8,985 training and 1,015 validation rows, 10 classes",
        "  dropped 3 rows: null label",
        "train",
        "  2 workers on cpu, 72 steps an epoch",
        "  epoch   1 of 4: loss 0.5000, accuracy 80.0%; validation 0.6000, 75.0%; 1,234 rows/s",
        "  epoch   2 of 4: loss 0.5000, accuracy 80.0%; 1,234 rows/s",
        "export: 2.0 s, ONNX Runtime and PyTorch agree on 512 rows to 1e-06",
        "evaluate: 1.0 s, accuracy 91.4% on 2,000 rows",
        "train: failed after 1 min 01 s",
    ]
    assert event_line({"event": "rows"}) is None


def points(svg, series):
    found = re.search(rf'<polyline points="([^"]+)" class="{series}"', svg)
    return [tuple(map(float, pair.split(","))) for pair in found[1].split()]


def test_curves_have_the_lowest_value_at_the_bottom_and_the_epochs_evenly_apart():
    losses = [1.0, 0.5, 0.0]
    drawn = str(curves([epoch(n, loss, validation=(None, None)) for n, loss in enumerate(losses, start=1)]))
    (x1, top), (x2, middle), (x3, bottom) = points(drawn, "train")
    assert x3 - x2 == x2 - x1 > 0
    assert bottom - middle == middle - top > 0  # downwards on a screen
    assert "validation" not in drawn
    assert 'aria-label="loss by epoch: train 0 at the end"' in drawn


def test_curves_start_with_the_second_epoch():
    assert curves([]) is None
    assert curves([epoch(1)]) is None
    assert str(curves([epoch(1), epoch(2)])).count("<svg") == 2


def test_curves_of_thousands_of_epochs_stay_small_and_of_flat_losses_stay_whole():
    many = [epoch(n, loss=1 / n) for n in range(1, 5001)]
    assert len(str(curves(many))) < 20_000
    assert points(str(curves(many)), "train")[-1][0] == points(str(curves(many[:2])), "train")[-1][0]
    assert "nan" not in str(curves([epoch(1), epoch(2)]))


def test_names_of_lines_that_end_together_are_moved_apart():
    drawn = str(curves([epoch(1), epoch(2, loss=0.6, validation=(0.6, 0.8))]))
    ends = [float(y) for y in re.findall(r'<text x="[\d.]+" y="([\d.]+)" class="(?:train|validation)"', drawn)]
    assert abs(ends[0] - ends[1]) >= 12


def test_a_loss_that_is_not_finite_leaves_a_gap():
    assert "inf" not in str(curves([epoch(1), epoch(2, validation=(float("inf"), 0.1)), epoch(3)]))


def test_epochs_without_validation_have_no_columns_for_it():
    assert epoch_table([]) is None
    assert "validation" not in str(epoch_table([epoch(1, validation=(None, None))]))


HOSTILE = "<img src=x onerror=alert(1)>"


def test_nothing_of_the_rows_or_the_name_is_taken_for_html():
    assert "<img" not in rows_html(HOSTILE, [{HOSTILE: HOSTILE}])
    state = RunState(HOSTILE)
    assert "<img" not in state.html() + state.summary_html([])


def test_rows_as_text_line_up_and_long_values_are_cut():
    rows = [{"id": 1, "text": "x" * 100, "empty": None}, {"id": 20, "text": "two\nlines", "empty": None}]
    assert rows_text("scored: 2 rows", rows).splitlines() == [
        "scored: 2 rows",
        "  id  text                                      empty",
        "  1   " + "x" * 39 + "…",
        "  20  two\\nlines",
    ]
    assert rows_text("scored", []) == "scored\n(no rows)"
    assert "no rows" in rows_html("scored", [])
