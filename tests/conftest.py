"""Fixtures: one small classic session for the whole run, and scripts in a process of their own for everything else."""

import os
import secrets
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Workers are this interpreter. Set before any session, as a user's own session would need it.
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
# Short queries, each compiled anew, on two cores: HotSpot's second compiler and its parallel collector pay only in long
# runs. Every Spark that a test starts reads this, in kernels and servers too.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

CONNECT = """\
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote("local[2]").config("spark.ui.enabled", "false").config(
    "spark.driver.memory", "2g").config("spark.sql.shuffle.partitions", "4").config(
    "spark.sql.warehouse.dir", {warehouse!r}).getOrCreate()
"""
# A server that says where it is and lives until its input ends.
SERVER = (
    CONNECT
    + """\
import sys
from pyspark.sql.connect.client.core import DefaultChannelBuilder
print(DefaultChannelBuilder.default_port(), flush=True)
sys.stdin.read()
"""
)
CLIENT = """\
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote("sc://localhost:{port}").config("spark.sql.shuffle.partitions", "4").getOrCreate()
"""
TOKEN = "SPARK_CONNECT_AUTHENTICATE_TOKEN"


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """A local classic session with two slots, for every test that needs no other kind."""
    from pyspark.sql import SparkSession

    from sparknn_magic.java import java_for_spark
    from sparknn_magic.sessions import adopt

    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
    }
    with java_for_spark():
        session = SparkSession.builder.master("local[2]").appName("tests").config(map=settings).getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield adopt(session)
    session.stop()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a package, as pip leaves one: `package(name, entry points, module text, more lines of METADATA)`.

    Its name begins with `strange_`.
    """
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, points: str, text: str, facts: str = "") -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{facts}")
        (info / "entry_points.txt").write_text(textwrap.dedent(points))

    yield install
    monkeypatch.undo()
    for module in [m for m in sys.modules if m.startswith("strange_")]:
        del sys.modules[module]


@pytest.fixture(scope="session")
def connect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Spark Connect server for all scripts that need no server of their own: its port, and the token it asks for."""
    home = tmp_path_factory.mktemp("connect")
    (home / "server.py").write_text(SERVER.format(warehouse=str(home / "warehouse")))
    found = {"token": secrets.token_hex(16)}
    variables = {**os.environ, "SPARK_TESTING": "1", TOKEN: found["token"]}  # the server takes any free port
    with open(home / "server.log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "server.py"],
            cwd=home,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert server.stdin is not None
        assert server.stdout is not None
        found["port"] = server.stdout.readline().strip()
        if not found["port"].isdigit():
            pytest.fail((home / "server.log").read_text()[-5000:])
        yield found
        server.stdin.close()
        server.wait(60)
        server.stdout.close()


@pytest.fixture
def run_script(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script in a fresh interpreter, in an empty folder; fail with its output where it fails.

    `run_script(code, connect=True)` gives it a Spark Connect session named `spark`; with `connect="own"` on a server
    in its own process, as `remote("local")` starts one. `env` is added to the environment; None as a value takes the
    variable away.
    """

    def run(
        code: str,
        *,
        connect: bool | str = False,
        env: dict[str, str | None] | None = None,
        timeout: float = 300,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        variables: dict[str, str | None] = {**os.environ}
        if connect is True:
            server = request.getfixturevalue("connect_server")
            code = CLIENT.format(port=server["port"]) + textwrap.dedent(code)
            variables[TOKEN] = server["token"]
        elif connect:
            code = CONNECT.format(warehouse=str(tmp_path / "warehouse")) + textwrap.dedent(code)
            variables["SPARK_TESTING"] = "1"  # the server takes any free port
        variables |= env or {}
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(code))
        here = tmp_path / "cwd"
        here.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, str(script)],
            cwd=here,
            env={name: value for name, value in variables.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            pytest.fail(f"the script ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}")
        return done

    return run
