"""Prompts and answers apart from telemetry: each text once, in a file that its content names.

Spans and events carry the address. Who may read traces need not be allowed to read what people said, and what they
said can be kept for another time or be deleted.

OpenTelemetry's own hook for this (`OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK=upload`) stays the user's: it sees calls of
its own instrumentors alone, and before anything is redacted; it writes a file when it is made, and its threads keep a
process from ending. This one takes what is on its way out, whoever recorded it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import threading
import time
from collections import OrderedDict, deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_kpi import forks, record
from otel_kpi.packs.telemetry.instruments import CONTENT_LOST

if TYPE_CHECKING:
    from collections.abc import Callable

_logger: Final = logging.getLogger("otel_kpi.content")
_lost: Final = record.counter(CONTENT_LOST, "otel_kpi.sdk")

_MOST: Final = 512
_MOST_CHARACTERS: Final = 32 << 20
"""Of texts that wait to be written, in number and together."""
_REMEMBERED: Final = 4096
_IDLE: Final = 30.0
"""Seconds after which a thread with nothing to do ends."""


class ContentStore:
    """Keeps texts in a folder, or wherever `fsspec` can write: `<base>/<day>/<sha256>.json`.

    Args:
        base: A folder, or an address as `s3://bucket/prompts`, for which `fsspec` must be installed.
        today: The day in UTC, as the folder is called.
    """

    def __init__(
        self, base: str, today: Callable[[], str] = lambda: time.strftime("%Y-%m-%d", time.gmtime())
    ) -> None:
        base = base.removeprefix("file://")
        self._is_remote = "://" in base
        self._base = base.rstrip("/") if self._is_remote else str(Path(base).absolute()).rstrip("/")
        self._today = today
        self._is_usable = not self._is_remote or importlib.util.find_spec("fsspec") is not None
        if not self._is_usable:
            _logger.warning("content is lost, it cannot be kept in %s: fsspec is not installed", base)
        self._files: Any = None
        self._fails = False
        self._empty()
        forks.in_child(self._empty)

    def _empty(self) -> None:
        self._condition = threading.Condition()
        self._waiting: deque[tuple[str, str, str]] = deque()
        self._characters = 0
        self._underway = 0
        self._known: OrderedDict[str, str] = OrderedDict()
        self._thread: threading.Thread | None = None

    def put(self, text: str) -> str | None:
        """Where the text is, or will be in a moment; None when too much waits, which is counted. Never waits."""
        raw = text.encode("utf-8", "replace")
        digest = hashlib.sha256(raw).hexdigest()
        with self._condition:
            known = self._known.get(digest)
            if known is not None:
                self._known.move_to_end(digest)
                return known
            if not self._is_usable:
                reason = "error"
            elif len(self._waiting) >= _MOST or self._characters + len(text) > _MOST_CHARACTERS:
                reason = "full"
            else:
                reason = ""
                ending = "json" if text[:1] in {"[", "{"} else "txt"
                address = f"{self._base}/{self._today()}/{digest}.{ending}"
                self._known[digest] = address
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
                self._waiting.append((digest, address, text))
                self._characters += len(text)
                self._start()
                self._condition.notify()
                return address
        _lost.add(1, reason)
        return None

    # --- the thread

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="otel_kpi content", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        with suppress_instrumentation():  # what a cloud's client does for this is nobody's trace
            self._work()

    def _work(self) -> None:
        while True:
            with self._condition:
                if not self._waiting and not self._condition.wait(_IDLE) and not self._waiting:
                    self._thread = None
                    return
                if not self._waiting:
                    continue
                digest, address, text = self._waiting.popleft()
                self._characters -= len(text)
                self._underway += 1
            try:
                self._write(address, text)
                self._say(None)
            except Exception as error:
                with self._condition:
                    self._known.pop(digest, None)  # may be written later
                _lost.add(1, "error")
                self._say(error)
            finally:
                with self._condition:
                    self._underway -= 1
                    self._condition.notify_all()

    def _write(self, address: str, text: str) -> None:
        if self._is_remote:
            self._write_remote(address, text)
            return
        path = Path(address)
        if path.exists():
            return
        # Nobody but who runs the process reads what people said.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - by its descriptor
            file.write(text.encode("utf-8", "replace"))
        part.replace(path)

    def _write_remote(self, address: str, text: str) -> None:
        if self._files is None:
            import fsspec  # pyright: ignore[reportMissingTypeStubs] # it has none

            self._files, _ = fsspec.url_to_fs(self._base)  # pyright: ignore[reportUnknownMemberType] # the same
        self._files.makedirs(address.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(address, text.encode("utf-8", "replace"))

    def _say(self, error: Exception | None) -> None:
        """One line for each change of state."""
        if self._fails == (error is not None):
            return
        self._fails = error is not None
        if error is None:
            _logger.warning("content is kept again")
        else:
            _logger.warning(
                "content is lost, it cannot be kept in %s: %s: %s", self._base, type(error).__name__, error
            )

    # --- a drainable, as `lifecycle` takes it

    def begin_drain(self, deadline: float, *, final: bool) -> Callable[[], bool]:  # noqa: ARG002 - the end is like any other time
        """Return what waits until all is written or the deadline over, and says which."""

        def end() -> bool:
            with self._condition:
                while self._waiting or self._underway:
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._condition.wait(left):
                        return False
            return True

        return end

    def waiting(self) -> int:
        """Texts that are not written yet."""
        return len(self._waiting) + self._underway
