"""Whatever happens to the store or before the command, the command's own status and signals are not lost."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.children import BIN, environment
from support.dev import samples

from otel_kpi.dev.store import Store

if TYPE_CHECKING:
    from pathlib import Path

DEV = (str(BIN / "otel-kpi"), "dev", "--port", "0")
# The first line of what it says comes before the command is looked for.
PYTHON = "/usr/bin/python3"


def dev(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEV, *words], env=environment(), cwd=folder, check=False, capture_output=True, text=True, timeout=60
    )


def test_a_store_that_is_damaged_meanwhile_costs_the_command_nothing(tmp_path: Path) -> None:
    path = tmp_path / "dev.db"
    store = Store(path)
    store.write([*samples.requests(300)])
    store.close()
    spoil = (
        f"import os; f = open({str(path)!r}, 'r+b'); f.seek(4096); f.write(os.urandom({path.stat().st_size - 4096}));"
        " raise SystemExit(7)"
    )
    done = dev(tmp_path, "--store", str(path), "--", str(BIN / "python"), "-c", spoil)
    assert done.returncode == 7
    assert "Traceback" not in done.stderr
    assert "dev.db is damaged" in done.stderr


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_no_store_and_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "dev.db" if kind == "pipe" else "/dev/null"
    if kind == "pipe":
        os.mkfifo(path)
    done = dev(tmp_path, "--store", str(path), "--", "true")
    assert (done.returncode, "is a pipe, a socket or a device" in done.stderr) == (1, True)


@pytest.mark.parametrize(("word", "status"), [("/etc/passwd", 126), ("/tmp", 126), ("no-such-command", 127)])
def test_what_cannot_be_started_has_the_status_that_a_shell_gives_it(
    word: str, status: int, tmp_path: Path
) -> None:
    assert dev(tmp_path, "--memory", "--", word).returncode == status


def test_a_signal_that_comes_before_the_command_reaches_it(tmp_path: Path) -> None:
    # Said once it listens; what comes next is a look into the command's Python, which takes a while.
    with subprocess.Popen([*DEV, "--memory", "--", PYTHON, "-c", "import time; time.sleep(60)"], env=environment(), cwd=tmp_path, stderr=subprocess.PIPE) as session:  # fmt: skip
        assert session.stderr is not None
        session.stderr.readline()
        session.send_signal(signal.SIGTERM)
        session.stderr.read()
        assert session.wait(20) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_reaches_the_command_from_its_first_word_on(number: signal.Signals, tmp_path: Path) -> None:
    script = f"trap 'exit 9' {number.name[3:]}; echo ready; while :; do sleep .05; done"
    with subprocess.Popen([*DEV, "--memory", "--", "sh", "-c", script], env=environment(), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as session:  # fmt: skip
        assert session.stdout is not None
        assert session.stdout.readline() == b"ready\n"
        session.send_signal(number)
        assert session.wait(30) == 9


@pytest.mark.parametrize("token", ["\u03a9", "two words", "line\n"])
def test_a_token_that_no_header_can_carry_is_refused(token: str, tmp_path: Path) -> None:
    done = dev(tmp_path, "--memory", "--token", token, "--", "true")
    assert (done.returncode, "a token has ASCII" in done.stderr) == (2, True)
