"""What ends all that a demo has started when the demo could not, as after `kill -9`: a process that waits for a pipe to close."""

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Generator

import psutil

MARK = "DEMO_RUN"
"""The variable by which each process that a demo has started, and what that starts, is known as its own."""
ENDED_WITHIN = 10.0  # seconds
ROUNDS = 5  # what ends may have started something meanwhile


@contextlib.contextmanager
def whatever_happens() -> Generator[None]:
    """See to it that nothing which is started in this block outlives this process."""
    mark = secrets.token_hex(8)
    with subprocess.Popen(
        [sys.executable, "-m", "demo.ending", mark],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is not for it
    ) as waiting:
        os.environ[MARK] = mark
        try:
            yield
        finally:
            del os.environ[MARK]
            if waiting.stdin is not None:
                waiting.stdin.close()


def started(mark: str) -> list[psutil.Process]:
    """What runs of a demo."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has ended, or is somebody else's
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found


def main(mark: str) -> None:
    """Wait until nobody holds the other end of standard input, and end what is left."""
    sys.stdin.buffer.read()
    for _ in range(ROUNDS):
        left = started(mark)
        if not left:
            return
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(left, ENDED_WITHIN)[1]:
            with contextlib.suppress(psutil.Error):
                process.kill()


if __name__ == "__main__":
    main(sys.argv[1])
