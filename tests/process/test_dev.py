"""`otel-kpi dev` as a person starts it: the command, its signals and status, ports, stores, and what survives a kill."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from support.children import BIN, environment, free_port, run, stop
from support.dev import sent
from support.dev.sessions import DEV, dev, names, post

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

SCRIPT = """
import logging, sys
from opentelemetry import trace
with trace.get_tracer("shop").start_as_current_span("checkout"):
    logging.getLogger("shop").warning("sold out")
print(sys.argv[1:])
sys.exit(7)
"""

TRAPPING = """
import os, signal, sys, time
def end(number, _):
    # Not by print: it may have come in the middle of one.
    os.write(1, f"got {signal.Signals(number).name}\\n".encode())
    sys.exit(5)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
print("waiting", flush=True)
while True:
    time.sleep(0.05)
"""


def test_a_script_is_seen_and_stays_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    meant_for_others = {
        "OTEL_SERVICE_NAME": "dev-script",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_SDK_DISABLED": "true",
    }
    done = run(
        [*DEV, "--port", "0", "--", "python", "script.py", "--port", "1", "--", "-v"],
        environment(**meant_for_others),
        tmp_path,
    )
    assert (done.returncode, done.stdout) == (7, "['--port', '1', '--', '-v']\n")
    assert "OTEL_SDK_DISABLED is not set for the command" in done.stderr
    assert "checkout" in done.stderr
    assert "dev-script" in done.stderr
    store = tmp_path / ".otel-kpi" / "dev.db"
    assert "checkout" in names(store)
    assert (tmp_path / ".otel-kpi" / ".gitignore").read_text() == "*\n"
    assert store.stat().st_mode & 0o077 == 0


def test_a_command_gets_the_signals_and_gives_the_status(tmp_path: Path) -> None:
    (tmp_path / "trapping.py").write_text(TRAPPING)
    with dev(tmp_path, "--port=0", "--memory", command=("python", "trapping.py")) as (process, _):
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        assert (process.returncode, output) == (5, "got SIGTERM\n")


def test_a_second_instance_has_a_port_and_a_store_of_its_own(tmp_path: Path) -> None:
    with dev(tmp_path) as (first, address), dev(tmp_path) as (second, other):
        assert address != other
        assert post(address, sent.traces("to the first"))[0] == 200
        assert post(other, sent.traces("to the second"))[0] == 200
        port = address.rpartition(":")[2]
        refused = run([*DEV, "--port", port, "--memory"], environment(), tmp_path)
        assert refused.returncode == 1
        assert refused.stderr == f"otel-kpi dev: 127.0.0.1:{port}: Address already in use\n"
        for process in (first, second):
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            assert process.returncode == 0
    assert names(tmp_path / ".otel-kpi" / "dev.db") == ["to the first"]
    assert names(tmp_path / ".otel-kpi" / "dev-2.db") == ["to the second"]


@pytest.mark.proof
def test_a_store_that_was_named_is_of_one_session_and_the_second_is_told_where_that_is(
    tmp_path: Path,
) -> None:
    with dev(tmp_path, "--port=0", "--store=a.db") as (first, address):
        second = run([*DEV, "--port=0", "--store=a.db"], environment(), tmp_path)
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == (
            f"otel-kpi dev: a.db is in use by another otel-kpi (process {first.pid}, {address}): "
            "look at that one, stop it, or choose another file with --store\n"
        )
        assert post(address, sent.traces("undisturbed"))[0] == 200
        stop(first)
    assert names(tmp_path / "a.db") == ["undisturbed"]


def test_what_is_missing_is_named() -> None:
    blocked = "import sys; sys.modules.update(h2=None, rich=None)\nfrom otel_kpi.cli import main; sys.exit(main(['dev']))"
    done = run([sys.executable, "-c", blocked], environment())
    assert done.returncode == 1
    assert done.stderr == "otel-kpi dev: h2, rich missing: pip install 'otel-kpi[dev]'\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("python", "app.py"), "-- stands before the command: otel-kpi dev -- python app.py"),
        (
            ("--open", "python", "app.py"),
            "-- stands before the command: otel-kpi dev --open -- python app.py",
        ),
        (
            ("python", "-c", "print(1)"),
            "-- stands before the command: otel-kpi dev -- python -c 'print(1)'",
        ),
        (("--no-such",), "unknown option --no-such"),
        (("--keep", "3 moons"), "3 moons: an age is"),
        (("--port", "70000"), "70000: a port is"),
        (("--port", "http"), "http: a port is"),
    ],
)
def test_options_that_are_none_are_explained(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from otel_kpi.cli import main

    with pytest.raises(SystemExit) as ended:
        main(["dev", *words])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.proof
@pytest.mark.parametrize(
    ("command", "status"), [(("no-such-program",), 127), (("sh", "-c", "kill -9 $$"), 137)]
)
def test_a_command_that_does_not_start_or_is_killed_says_so(
    tmp_path: Path, command: tuple[str, ...], status: int
) -> None:
    assert run([*DEV, "--port=0", "--memory", "--", *command], environment(), tmp_path).returncode == status


@pytest.mark.proof
def test_a_key_reaches_the_command_once(tmp_path: Path) -> None:
    """The terminal sends Ctrl-C to the command as well: passed on, it would come twice."""
    script = TRAPPING.replace("    sys.exit(5)\n", "    if len(got) > 1: sys.exit(9)\n").replace(
        "def end(number, _):\n", "got = []\ndef end(number, _):\n    got.append(number)\n"
    )
    script = script.replace(
        "while True:\n    time.sleep(0.05)", "while not got: time.sleep(0.05)\ntime.sleep(1)\nsys.exit(5)"
    )
    (tmp_path / "trapping.py").write_text(script)
    words = [*DEV, "--port=0", "--memory", "--quiet", "--", "python", "trapping.py"]
    with in_a_terminal(words, tmp_path) as (read, write, wait):
        assert b"waiting" in read(b"waiting")
        write(b"\x03")
        assert b"got SIGINT" in read(b"got SIGINT")
        assert wait() == 5


@contextlib.contextmanager
def in_a_terminal(
    words: list[str], cwd: Path
) -> Generator[tuple[Callable[[bytes], bytes], Callable[[bytes], object], Callable[[], int]]]:
    """A program in the foreground of a terminal of its own."""
    ours, theirs = os.openpty()
    # A session of its own takes the terminal that it opens first.
    taking = (
        "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", taking, *words],
        cwd=cwd,
        env=environment(OTEL_SERVICE_NAME="dev-keys"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)

        def read(until: bytes) -> bytes:
            received = b""
            while until not in received:
                received += os.read(ours, 4096)
            return received

        try:
            yield read, lambda keys: os.write(ours, keys), lambda: process.wait(20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            os.close(ours)


@pytest.mark.proof
def test_a_python_without_otel_kpi_runs_as_it_was_and_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import os, sys; print(os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'][:17]); sys.exit(3)"
    )
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    done = run(
        [*DEV, "--port=0", "--memory", "--", str(bare / "bin" / "python"), "script.py"],
        environment(),
        tmp_path,
    )
    assert (done.returncode, done.stdout) == (3, "http://127.0.0.1:\n")
    assert f"{bare / 'bin' / 'python'} -m pip install otel-kpi" in done.stderr
    assert "Error in sitecustomize" not in done.stderr


@pytest.mark.proof
def test_the_sitecustomize_of_the_environment_runs_as_well(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text("print('own')")
    done = run(
        [*DEV, "--port=0", "--memory", "--quiet", "--", "python", "-c", "print('application')"],
        environment(PYTHONPATH=str(tmp_path / "own"), OTEL_SERVICE_NAME="dev-sitecustomize"),
        tmp_path,
    )
    assert done.stdout.startswith("own\napplication\n")  # and that of otel-kpi itself
    assert done.stderr == ""


@pytest.mark.proof
def test_lines_of_json_and_nothing_else_where_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.replace("print(sys.argv[1:])", ""))
    done = run(
        [*DEV, "--port=0", "--memory", "--json", "--", "python", "script.py"],
        environment(OTEL_SERVICE_NAME="dev-json"),
        tmp_path,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["summary"]["traces"] == len(lines) - 1 == 1


@pytest.mark.proof
def test_a_span_is_on_the_page_soon_after_its_end(tmp_path: Path) -> None:
    script = (
        "import time\nfrom opentelemetry import trace\n"
        "with trace.get_tracer('t').start_as_current_span('timed') as span: pass\n"
        "print(time.time(), format(span.get_span_context().trace_id, '032x'), flush=True)\ntime.sleep(30)\n"
    )
    (tmp_path / "script.py").write_text(script)
    with dev(tmp_path, "--port=0", "--memory", command=("python", "script.py")) as (process, address):
        assert process.stdout is not None
        ended, trace_id = process.stdout.readline().split()
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(f"{address}/api/traces/{trace_id}", timeout=5).close()
                break
            assert time.monotonic() < deadline
            time.sleep(0.01)  # until it is there
        assert time.time() - float(ended) < 3 * 1.0


@pytest.mark.proof
def test_it_is_ready_soon(tmp_path: Path) -> None:
    taken: list[float] = []
    for _ in range(3):
        begun = time.monotonic()
        with dev(tmp_path, "--port=0", "--memory"):
            taken.append(time.monotonic() - begun)
    assert min(taken) < 3 * 1.5, taken


@pytest.mark.proof
def test_a_service_that_nobody_has_named_is_called_after_its_script(tmp_path: Path) -> None:
    (tmp_path / "bakery.py").write_text(SCRIPT)
    for extra, name in ({}, "bakery"), ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=mine"}, "mine"):
        run([*DEV, "--port=0", "--store=a.db", "--", "python", "bakery.py"], environment(**extra), tmp_path)
        done = run([*DEV, "sql", "SELECT service FROM spans ORDER BY row DESC LIMIT 1", "--csv", "--store=a.db"], environment(), tmp_path)  # fmt: skip
        assert done.stdout == f"service\n{name}\n"


@pytest.mark.proof
def test_beyond_loopback_a_token_is_made_and_given_to_the_command(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run(
        [*DEV, "--port=0", "--host=0.0.0.0", "--store=a.db", "--", "python", "script.py"],
        environment(OTEL_SERVICE_NAME="dev-token"),
        tmp_path,
    )
    assert done.returncode == 7
    assert re.search(r"/\?token=[\w-]{20,}", done.stderr)
    assert "checkout" in names(tmp_path / "a.db")


@pytest.mark.proof
def test_a_viewer_shows_a_store_and_receives_nothing(tmp_path: Path) -> None:
    with dev(tmp_path, "--port=0") as (process, address):
        post(address, sent.traces("shown"))
        port = free_port()
        with subprocess.Popen(
            [str(BIN / "otel-kpi"), "view", "--port", str(port)],
            cwd=tmp_path,
            env=environment(),
            stderr=subprocess.PIPE,
        ) as viewer:
            try:
                assert viewer.stderr is not None
                assert b"shows .otel-kpi/dev.db" in viewer.stderr.readline()
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/services", timeout=10) as response:
                    assert json.load(response)["data"] == ["shop"]
                assert post(f"http://127.0.0.1:{port}", sent.traces("not taken"))[0] == 404
            finally:
                viewer.terminate()
        stop(process)
    assert names(tmp_path / ".otel-kpi" / "dev.db") == ["shown"]


def test_ports_that_are_taken_are_left_to_who_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from otel_kpi.dev import listening

    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as another:
        monkeypatch.setattr(listening, "HTTP_PORT", other.getsockname()[1])
        monkeypatch.setattr(listening, "GRPC_PORT", another.getsockname()[1])
        with contextlib.closing(listening.listen()) as found:
            assert found.port == found.grpc_port
            assert found.port not in {other.getsockname()[1], another.getsockname()[1]}
            assert found.address == f"http://127.0.0.1:{found.port}"
        with pytest.raises(OSError, match="in use"):
            listening.listen(port=other.getsockname()[1])
