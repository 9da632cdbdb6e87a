"""Spark's exceptions -> the one line that matters: what the Python worker raised, or what Spark says without its stack.

Works on the text, which is what classic sessions, Connect clients and py4j have in common. Standard library only.
"""

import importlib.util
import re
import sys

from sparknn_magic import errors
from sparknn_magic.errors import SparkNNError

LONGEST = 500  # characters

JAVA_CLASS = re.compile(r"^:? *(?:[a-z]\w*\.)+(\w*?\$?)([A-Z]\w*): ")
POSITION = re.compile(r"\(?line (\d+),? pos (\d+)\)?|== SQL \(line (\d+), position (\d+)\) ==")

# What stands around the cause in Spark's report of a failed stage.
LOST_TASK = re.compile(r"most recent failure: .*?\(TID \d+\)(?: \([^)]*\))?: ", re.S)
BARRIER = re.compile(r"Most recent failure reason: .*? finished unsuccessfully\.\s*", re.S)

OURS = f"{SparkNNError.__module__}."
KNOWN = {
    "SPARK_JOB_CANCELLED": "the Spark job was cancelled.",
    "OPERATION_CANCELED": "the Spark job was cancelled.",
    "Python worker exited unexpectedly": "a Python worker died without a word: killed by the system, most often for "
    "want of memory, or stopped by a fault in native code.",
    "Answer from Java side is empty": "Spark's Java process is gone: it was killed or has crashed. Restart the kernel.",
    "StatusCode.UNAVAILABLE": "the Spark Connect server cannot be reached: it has ended, or the address is wrong.",
    "Java gateway process exited": "Spark's Java process ended while starting; what it said is printed above.",
}


def spark_cause(error: BaseException) -> str:
    """Return one line that tells a user why Spark failed: no Java, no stack, no SQLSTATE, at most 500 characters.

    Takes the exceptions of classic sessions (py4j's too) and of Connect clients, and any other exception.
    """
    if isinstance(error, SparkNNError):
        return error.message
    ours = worker_error(error)
    if ours is not None:
        return _short(" ".join(filter(None, [ours.message, ours.hint])))
    text = str(error)
    stack = getattr(error, "getStackTrace", None)  # a Connect client has the server's stack here, not in the text
    if stack is not None and "FAILED_READ_FILE" in text:
        text += f"\n{stack()}"
    line = _worker_exception(text) or _known(text) or _spark_message(text) or type(error).__name__
    return _short(line)


def one_line(error: BaseException) -> str:
    """Return what an exception says, on one line of at most 500 characters."""
    return _short(" ".join(str(error).split()))


def _short(line: str) -> str:
    return line if len(line) <= LONGEST else line[: LONGEST - 4].rstrip() + " ..."


def worker_error(error: BaseException) -> SparkNNError | None:
    """Return the error of ours that a Python worker has raised, made anew; None where it was another's."""
    kind, message, more = _raised(str(error))
    found = getattr(errors, kind.removeprefix(OURS), None) if kind.startswith(OURS) else None
    if not (isinstance(found, type) and issubclass(found, SparkNNError)):
        return None
    # What is not indented is worded for a user: the next step.
    hint = " ".join(line for line in more if line and not line.startswith(" "))
    return found(message, hint=hint or None)


def _raised(text: str) -> tuple[str, str, list[str]]:
    """Return class, first line and further lines of what the first Python traceback in the text ends with."""
    _, found, rest = text.partition("Traceback (most recent call last):\n")
    block = re.split(r"\n\tat |\n *SQLSTATE: |\n\nJVM stacktrace:", rest)[0]
    last = block.split("Traceback (most recent call last):\n")[-1].splitlines()  # of a chain, what was raised last
    end = next((number for number, line in enumerate(last) if line and not line.startswith(" ")), None)
    if not found or end is None:
        return "", "", []
    kind, _, message = last[end].partition(": ")
    return kind, message, last[end + 1 :]


def _worker_exception(text: str) -> str:
    """Return the last line of the first Python traceback in the text; "" where it has none."""
    kind, message, more = _raised(text)
    if not kind:
        return ""
    message = message or " ".join(more).strip()
    kind = kind.rpartition(".")[2].rstrip(":")
    message = re.sub(r"^\[[A-Z_.]+\] ", "", message)
    return _other_python(kind, message) or (f"{kind}: {message}" if message else kind)


def _other_python(kind: str, message: str) -> str:
    """Word the worker's "No module named 'x'" where this process has x: its workers are another Python."""
    missing = re.search(r"No module named '([\w.]+)'", message)
    if kind not in ("ModuleNotFoundError", "ImportError") or not missing:
        return ""
    package = missing[1].partition(".")[0]
    if package not in sys.modules and importlib.util.find_spec(package) is None:
        return ""
    return (
        f"Spark's Python workers have no module '{missing[1]}', which this process has: they run another Python. "
        f"Set PYSPARK_PYTHON to {sys.executable}, or to one with the same packages, before the session starts."
    )


def _known(text: str) -> str:
    return next((ours for words, ours in KNOWN.items() if words in text), "")


def _spark_message(text: str) -> str:
    """Return the first line of what Spark says, without what surrounds it."""
    text = re.sub(r"^An error occurred while calling [^\n]*\n", "", text)
    for around in (LOST_TASK, BARRIER):
        found = around.search(text)
        if found:
            text = text[found.end() :]
    before = None
    while before != text:  # "(org.x.SparkException) [CLASS] ...", ": java.lang.x: y: ..."
        before = text
        text = re.sub(r"^\s*\([\w.$]+(?:Exception|Error)\) ", "", text)
        java = JAVA_CLASS.match(text)
        if java:
            keep = "" if java[2].endswith("Exception") else java[2] + ": "
            text = keep + text[java.end() :]
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = re.sub(r"\s*SQLSTATE: \w+.*", "", line).strip()
    condition = re.match(r"\[([A-Z0-9_.]+)\] ", line)
    if condition:
        line = line[condition.end() :]
        if condition[1].startswith("FAILED_READ_FILE"):  # the one condition that leaves its reason to the stack
            line += "".join(re.findall(r"^Caused by: [\w.$]+:( .*)$", text, re.M)[-1:])
    return line + _position(text)


def _position(text: str) -> str:
    """Return " (line 1, position 8 of the query)", both from 1; "" where Spark gives no place."""
    found = POSITION.search(text)
    if not found:
        return ""
    line, column = (found[1], int(found[2]) + 1) if found[1] else (found[3], int(found[4]))
    return f" (line {line}, position {column} of the query)"
