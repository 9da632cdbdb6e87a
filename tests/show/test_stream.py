"""A running stream in words."""

from sparknn_magic.show.stream import StreamState, stream_html, stream_text

FACTS = {
    "name": "seen_into_scored",
    "table": "scored",
    "folder": "/data/scored",
    "checkpoint": "/data/checkpoint",
    "variable": "scored_stream",
    "active": True,
    "batches": 1203,
    "recent": 2,
    "rows": 4100,
    "rate": 83.4,
    "error": None,
}


def test_a_stream_says_how_far_it_is_where_its_rows_go_and_how_to_stop_it():
    assert stream_text(FACTS).splitlines() == [
        "seen_into_scored: a stream",
        "  state       running: 1,203 batches done, 4,100 rows in the last 2, 83 rows/s",
        "  rows        the table scored, Parquet in /data/scored",
        "  checkpoint  /data/checkpoint",
        "  stop it     scored_stream.stop(); started again, it goes on where it was",
    ]
    assert ".stop();" in stream_text(FACTS | {"variable": None})
    assert "rows        Parquet in /data/scored" in stream_text(FACTS | {"table": None})


def test_a_stream_that_has_ended_says_why_and_is_escaped():
    failed = FACTS | {"active": False, "error": "<b>no\nspace</b>", "rate": None, "recent": 0}
    assert "state       failed: <b>no\\nspace</b>: 1,203 batches done" in stream_text(failed)
    assert "&lt;b&gt;no\\nspace&lt;/b&gt;" in stream_html(failed)
    assert "stop it" not in stream_text(failed)
    state = StreamState()
    assert state.text() == state.html() == ""
    state.hear({"event": "stream", "facts": FACTS | {"active": False}})
    assert "stopped: 1,203 batches done" in state.text()
