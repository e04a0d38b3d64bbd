"""A running process tells how it is: asked by a file in a folder that only its user can enter.

The folder belongs to the user and nobody else can write in it, so who asks is that user, or root. There is no port,
no signal and no thread for it: the export thread looks for the file when it wakes up anyway, which is one look at
the file system a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_kpi.diagnosis.report import from_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.diagnosis.report import Report

_POLL = 0.05  # seconds between two looks for the answer
_LONGEST_SLEEP = 3.0  # seconds until a process looks that is not busy, with some to spare
_LONGEST_SEND = 15.0  # seconds that an export may take, with some to spare
_STALE = 3600.0  # seconds after which nobody waits for an answer
_LARGEST = 4096  # bytes of a question


class NoAnswer(Exception):  # noqa: N818 - it says what did not come
    """The process did not answer; the text says why that may be."""


# --- the process that is asked


def answer(path: str) -> None:
    """Answer the question in a file, on a thread of its own; never raises."""
    try:
        question = json.loads(_question(path))
        nonce = str(question["nonce"])
        timeout = min(float(question["timeout"]), 30.0)
        send = bool(question["send"])
    except Exception:  # whatever lies there: what is raised here would hold up the thread that exports
        nonce, timeout, send = "", 0.0, False
    try:
        Path(path).unlink()
    except OSError:
        return  # a question that cannot be taken away would be answered for ever
    if not nonce.isalnum():
        return

    def work() -> None:
        from otel_kpi.diagnosis.examination import examine_process

        with contextlib.suppress(OSError):
            _write(Path(path).with_name(f"{nonce}.answer"), examine_process(send=send, timeout=timeout))

    threading.Thread(target=work, name="otel-kpi-doctor", daemon=True).start()


def _question(path: str) -> bytes:
    """What is asked; a pipe, a link or a large file that somebody put there is none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _LARGEST)
    finally:
        os.close(descriptor)


def _write(path: Path, report: Report) -> None:
    """Write a report so that nobody sees half of it, and nobody else any of it."""
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(report.as_json(), file)
    new.replace(path)


class LastReport:
    """Leaves the report of a process in a folder when it ends, for who started it.

    Args:
        folder: Where.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def begin_drain(self, deadline: float, *, final: bool) -> Callable[[], bool]:  # noqa: ARG002 - as the lifecycle calls it
        """Write at the end, after everything was sent."""

        def end() -> bool:
            if final:
                from otel_kpi.diagnosis.examination import examine_process

                with contextlib.suppress(OSError):
                    _write(Path(self._folder) / f"{os.getpid()}.json", examine_process(send=False))
            return True

        return end

    def waiting(self) -> int:
        """Nothing that a forked child would have to stay for."""
        return 0


# --- who asks


def ask(pid: int, *, send: bool, timeout: float) -> Report:
    """Ask a process how it is.

    Args:
        pid: Of a process of this user; root may ask any.
        send: Whether it makes a round trip.
        timeout: Seconds for each answer of a receiver.

    Raises:
        NoAnswer: It does not exist, or did not answer.
    """
    folder, inner = _meeting_place(pid)
    if not folder.is_dir():
        raise NoAnswer(f"process {pid} has no telemetry of otel-kpi: start it with `otel-kpi run`")
    _sweep(folder)
    nonce = secrets.token_hex(16)
    question, reply = folder / f"{inner}.ask", folder / f"{nonce}.answer"
    try:
        draft = folder / f"{nonce}.new"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"nonce": nonce, "send": send, "timeout": timeout}, file)
        if os.getuid() == 0:
            os.chown(draft, folder.stat().st_uid, -1)  # or the process cannot read what root asks
        draft.replace(question)
        patience = _LONGEST_SEND if _takes_part(pid, folder) else _LONGEST_SLEEP
        return from_json(_await(pid, reply, question, patience, patience + 6.0 * timeout))
    except PermissionError as error:
        raise NoAnswer(f"process {pid} belongs to somebody else") from error
    finally:
        for path in (question, reply):
            path.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove the answers for which nobody has waited."""
    with contextlib.suppress(OSError):
        for each in (*folder.glob("*.answer"), *folder.glob("*.new")):
            if time.time() - each.stat().st_mtime > _STALE:
                each.unlink(missing_ok=True)


def _takes_part(pid: int, folder: Path) -> bool:
    """Whether a process holds its slot there; one that became a daemon and closed all its files does not."""
    try:
        held = [str(each.readlink()) for each in (Path("/proc") / str(pid) / "fd").iterdir()]
    except OSError:
        return True  # nobody knows
    return any(f"/{folder.name}/" in each for each in held)


def _await(pid: int, reply: Path, question: Path, patience: float, longest: float) -> dict[str, Any]:
    taken_by, answered_by = time.monotonic() + patience, time.monotonic() + longest
    while time.monotonic() < answered_by:
        if reply.exists():
            return json.loads(reply.read_bytes())
        if question.exists() and time.monotonic() > taken_by:
            break
        _exists(pid)
        time.sleep(_POLL)  # another process leaves a file; no event tells when
    raise NoAnswer(
        f"process {pid} did not answer: it runs without otel-kpi, all its exporters are `none`, or it hangs "
        "(type: py-spy dump --pid, if you have it)"
    )


def _exists(pid: int) -> None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        raise NoAnswer(f"there is no process {pid}") from None
    except PermissionError:
        pass


def _meeting_place(pid: int) -> tuple[Path, int]:
    """The folder of the process as this one sees it, and the process id as that one does: it may be in a container."""
    _exists(pid)
    proc = Path("/proc") / str(pid)
    try:
        owner = proc.stat().st_uid
        environ = dict(
            each.split(b"=", 1) for each in (proc / "environ").read_bytes().split(b"\0") if b"=" in each
        )
        status = (proc / "status").read_text()
    except PermissionError:
        raise NoAnswer(f"process {pid} belongs to somebody else; ask as that user") from None
    except OSError:
        from otel_kpi.instance import PRIVATE_FOLDER  # a system without /proc

        return Path(PRIVATE_FOLDER), pid
    temporary = next(
        (os.fsdecode(environ[name]) for name in (b"TMPDIR", b"TEMP", b"TMP") if environ.get(name)),
        "/tmp",  # noqa: S108 - where that process looks, too; the folder in it is checked by its owner
    )
    inner = next((line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:")), str(pid))
    place = Path(f"{temporary}/otel-kpi-{owner}")
    if inner != str(pid):
        place = proc / "root" / str(place).lstrip("/")
    return place, int(inner)
