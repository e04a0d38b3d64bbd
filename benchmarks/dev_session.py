"""What the benchmarks of `otel-kpi dev` share: a store of a day, a session in a process of its own, a sender, a browser.

Run to send what `dev_store` has made: python -m benchmarks.dev_session BODIES URL SPANS_A_SECOND
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks.dev_store import bodies

if TYPE_CHECKING:
    from collections.abc import Generator

    from playwright.sync_api import Page

    from otel_kpi.dev.store import Store

ROOT = Path(__file__).parent.parent
SPANS = 100_000
LONG = 5_000
"""Spans of the trace that is read from end to end."""
_PROGRAM = Path(sys.executable).with_name("otel-kpi")
_CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
_SECOND = 10**9
_PER_REQUEST = 512
_CONNECTIONS = 8
"""Of senders that wait for their answer, as those of services do."""
sys.path.insert(0, str(ROOT / "tests"))


def fill_day(path: Path, spans: int = SPANS) -> str:
    """A store with so many spans of a day that ends now, one trace of `LONG` spans among them; the id of that trace.

    What is there already stays as it is.
    """
    from support.dev import hostile, samples

    from otel_kpi.dev.store import Store

    store = Store(path)
    with contextlib.closing(store):
        if (there := _long(store)) is not None:
            return there
        for request in hostile.long_trace(LONG):
            store.write([request])
        # The samples have some ten traces a second, of some ten spans each.
        begin = time.time_ns() - spans // 100 * _SECOND
        for request in samples.requests(spans - LONG, start_ns=begin):
            store.write([request])
        return _long(store) or ""


def _long(store: Store) -> str | None:
    row = (
        store.reader()
        .execute("SELECT trace_id FROM trace WHERE spans = ? ORDER BY id LIMIT 1", (LONG,))
        .fetchone()
    )
    return None if row is None else row[0].hex()


def fill_calls(path: Path, calls: int = SPANS) -> None:
    """A store whose spans are calls of language models and nothing else, over the last day."""
    from support.dev.asked import call, spans
    from support.dev.day import FEATURES, MODELS, TENANTS

    from otel_kpi.dev.store import Store

    if path.exists():
        return
    draw = random.Random(7)
    begin, step = time.time_ns() - 86_400 * _SECOND, 86_400 * _SECOND // calls
    store = Store(path)
    with contextlib.closing(store):
        for first in range(0, calls, _PER_REQUEST):
            made: list[Any] = []
            for number in range(first, min(first + _PER_REQUEST, calls)):
                provider, model, _, price, _, currency = draw.choice(MODELS)
                tokens = draw.randrange(100, 6_000)
                made.append(
                    call(
                        model, float(price) * tokens / 1e6 if price else None, currency,
                        start_ns=begin + number * step, duration_ns=draw.randrange(200, 9_000) * 1_000_003,
                        status=2 if draw.random() < 0.02 else 0, gen_ai__provider__name=provider,
                        gen_ai__usage__input_tokens=tokens, gen_ai__usage__output_tokens=draw.randrange(10, 900),
                        gen_ai__response__time_to_first_chunk=draw.random() if number % 2 else None,
                        kpi__tenant=draw.choice(TENANTS), kpi__feature=draw.choice(FEATURES),
                        kpi__llm__unpriced__reason=None if price else "unknown_model",
                    )
                )  # fmt: skip
            store.write([spans(*made)])


def environment() -> dict[str, str]:
    """Nothing of whoever measures: a session tells its command where to send."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))}


def free_port() -> int:
    """A port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Session:
    """`otel-kpi dev` as a person starts it.

    Attributes:
        accepted: Seconds from its start until the port took a connection.
        ready: Seconds until it had answered a request.
    """

    process: subprocess.Popen[bytes]
    url: str
    accepted: float
    ready: float

    def memory_mb(self) -> float:
        """The most that the process has had in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(status.split("VmHWM:", 1)[1].split(maxsplit=1)[0]) / 1_024

    def cpu_seconds(self) -> float:
        """What the process has worked."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def session(store: Path, *command: str) -> Generator[Session]:
    """Start one; it ends with the block."""
    port = free_port()
    store.parent.mkdir(exist_ok=True)
    words = [str(_PROGRAM), "dev", "--quiet", "--stay", "--port", str(port), "--store", str(store)]
    if command:
        words += ["--", *command]
    began = time.perf_counter()
    process = subprocess.Popen(
        words, env=environment(), cwd=store.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        accepted = _until(began, lambda: socket.create_connection(("127.0.0.1", port), 10).close(), process)
        ready = _until(began, lambda: _get(port, "/api/services"), process)
        yield Session(process, f"http://127.0.0.1:{port}", accepted, ready)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _until(began: float, what: Any, process: subprocess.Popen[bytes]) -> float:
    while True:
        try:
            what()
        except OSError:
            if process.poll() is not None or time.perf_counter() - began > 60:
                raise
            time.sleep(0.002)  # there is nothing to wait on before it listens
        else:
            return time.perf_counter() - began


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status}")
        return response.read()


@contextlib.contextmanager
def sending(made: Path, url: str, rate: int) -> Generator[subprocess.Popen[str]]:
    """A process that sends what was made, so many spans a second; `told` says what came of it."""
    words = [sys.executable, "-m", "benchmarks.dev_session", str(made), url, str(rate)]
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()


def told(process: subprocess.Popen[str]) -> dict[str, float]:
    """Have the sender end, and say how much it has sent."""
    return json.loads(process.communicate(timeout=60)[0])


@contextlib.contextmanager
def chromium() -> Generator[Page]:
    """A tab of a headless Chromium, as large as a laptop's window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        try:
            context = browser.new_context(viewport={"width": 1280, "height": 820})
            context.set_default_timeout(60_000)
            yield context.new_page()
        finally:
            browser.close()


class _Sender:
    """Sends bodies over some connections at once, not faster than it was told."""

    def __init__(self, made: Path, url: str, rate: int) -> None:
        self._bodies = bodies(made)
        self._address = urlsplit(url).netloc
        self._rate = rate
        self._lock = threading.Lock()
        self._began = time.perf_counter()
        self.spans = self.again = 0
        self.answers: list[float] = []
        self.ended = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        while not self.ended.is_set():
            with self._lock:
                found = next(self._bodies, None)
                if found is None:
                    self.ended.set()
                    return
                signal_name, spans, body = found
                due = self._began + self.spans / self._rate
                self.spans += spans
            if self.ended.wait(max(0.0, due - time.perf_counter())):
                with self._lock:
                    self.spans -= spans
                return
            while not self._sent(connection, signal_name, body):
                self.again += 1
                if self.ended.wait(0.5):
                    return

    def _sent(self, connection: http.client.HTTPConnection, signal_name: str, body: bytes) -> bool:
        began = time.perf_counter()
        connection.request("POST", f"/v1/{signal_name}", body, {"Content-Type": "application/x-protobuf"})
        response = connection.getresponse()
        response.read()
        self.answers.append(time.perf_counter() - began)
        if response.status not in (200, 429, 503):
            raise RuntimeError(f"{signal_name}: {response.status}")
        return response.status == 200


def main(arguments: list[str] | None = None) -> None:
    """Send until standard input ends, and say how much that was."""
    made, url, rate = arguments or sys.argv[1:]
    sender = _Sender(Path(made), url, int(rate))
    threads = [threading.Thread(target=sender.run) for _ in range(_CONNECTIONS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    threading.Thread(target=lambda: (sys.stdin.read(), sender.ended.set()), daemon=True).start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    answers = sorted(sender.answers)
    print(
        json.dumps({
            "spans": sender.spans, "seconds": round(seconds, 2), "spans_per_second": round(sender.spans / seconds),
            "sent_again": sender.again,
            "answer_ms_p95": round(answers[int(len(answers) * 0.95)] * 1e3, 1) if answers else 0.0,
        })
    )  # fmt: skip


if __name__ == "__main__":
    main()
