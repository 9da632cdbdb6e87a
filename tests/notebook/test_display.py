"""How often a cell's display is drawn anew: a frontend and the file it keeps get every one of its updates."""

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from ipywidgets import Button

from sparknn_magic.notebook.display import STOP, Followed, Panel, watched
from sparknn_magic.show.live import RunState

HOUR = 3600.0


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def updates():
    """What is displayed, in turn."""
    shell = InteractiveShell.instance(display_pub_class=CapturingDisplayPublisher)
    yield shell.display_pub.outputs
    InteractiveShell.clear_instance()


def followed(hours, **how):
    """Follow a training whose epochs take ten minutes, looking twice a second."""
    clock = Clock()
    view = Followed(RunState("fashion", clock=clock), clock=clock, **how)
    view({"event": "stage", "stage": "train", "state": "start"})
    while clock.now < hours * HOUR:
        clock.now += 0.5
        view.tick()
        if clock.now % 600 == 0:
            view({"event": "note", "message": f"ten minutes more: {clock.now:.0f} s"})
    return view


def test_the_display_appears_after_half_a_second_and_then_moves_twice_a_second(updates):
    followed(10 / HOUR)
    assert len(updates) == 20


def test_a_days_training_has_some_thousand_updates_and_not_more_each_hour(updates):
    followed(24)
    assert 2000 < len(updates) < 5000
    first = len(updates)
    updates.clear()
    followed(48)
    assert len(updates) < first + 600


def test_where_nobody_looks_on_there_is_an_update_for_each_line_alone(updates):
    view = followed(2, watching=False)
    assert len(view.state.lines) == 1 + 12
    assert len(updates) == 12  # the last line came after the last look
    view.fail(interrupted=True)
    assert updates[-1]["data"]["text/plain"].endswith("train: interrupted after 2 h 00 min")


class LonePanel(Panel):
    """A panel without a kernel whose messages its button would hear."""

    def _make_button(self):
        return Button(description=STOP)


def test_the_button_goes_with_the_stage_that_it_stops(updates):
    clock = Clock()
    view = LonePanel(RunState("fashion", clock=clock), kernel=None)
    view.clock, view.began, view.last = clock, 0.0, 0.0
    shown = []
    for stage, state in (("prepare", "start"), ("train", "start"), ("train", "done"), ("export", "start")):
        view({"event": "stage", "stage": stage, "state": state, "seconds": 10.0})
        clock.now += 10
        view.tick()
        shown.append(updates[-1]["data"])
    assert "training fashion" in shown[0]["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in shown[1]
    assert shown[2] == {}
    assert "training fashion" in shown[3]["text/plain"]


class Kernel:
    def __init__(self, **content):
        self.content = content

    def get_parent(self):
        return {"content": self.content}


def test_a_kernel_is_told_whether_somebody_can_be_asked():
    assert watched(Kernel(allow_stdin=True))
    assert not watched(Kernel(allow_stdin=False))
    assert watched(Kernel())
