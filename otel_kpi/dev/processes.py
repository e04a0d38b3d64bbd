"""The command that is started with the server: its signals and its exit status are the session's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PASSED_ON: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_FROM_THE_KEYBOARD: Final = (signal.SIGINT, signal.SIGQUIT)
_SIGNALLED: Final = 128


class StartError(Exception):
    """The command could not be started.

    Args:
        status: As a shell has it: 127 when it is not found, 126 when it cannot be started.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Command:
    """A command that runs, in our own process group and with our own streams."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, words: Sequence[str], environment: Mapping[str, str]) -> Self:
        """Start it; from now on it gets our signals.

        Raises:
            StartError: It cannot be.
        """
        program = shutil.which(words[0], path=environment.get("PATH"))
        if program is None and os.sep in words[0] and os.path.exists(words[0]):  # noqa: PTH110, ASYNC240 - a text, as `which` takes it; it is on a disk here
            raise StartError(f"{words[0]}: it is no program that may be started", 126)
        if program is None:
            raise StartError(f"{words[0]}: command not found", 127)
        loop = asyncio.get_running_loop()
        early: list[int] = []
        for number in _PASSED_ON:  # it may run, and be known to run, before we know that it does
            loop.add_signal_handler(number, early.append, number)
        try:
            # Started by its name as it was given, which programs of many names look at.
            process = await asyncio.create_subprocess_exec(
                words[0], *words[1:], executable=program, env=environment
            )
        except OSError as error:
            raise StartError(f"{words[0]}: {error.strerror}", 126) from None
        command = cls(process)
        for number in _PASSED_ON:
            loop.add_signal_handler(number, command.pass_on, number)
        # What is still on its way into the list comes before this.
        loop.call_soon(command.pass_on_all, early)
        return command

    def pass_on_all(self, numbers: Sequence[int]) -> None:
        """Send it signals that came to us while it was being started."""
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def pass_on(self, number: int) -> None:
        """Send it a signal that came to us, unless it has got it already."""
        if number in _FROM_THE_KEYBOARD and _is_in_foreground():
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def wait(self) -> int:
        """Its exit status; 128 and the signal where one ended it."""
        status = await self._process.wait()
        return _SIGNALLED - status if status < 0 else status


def on_signals() -> asyncio.Event:
    """What is set by a signal that ends the session."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    return ended


def _is_in_foreground() -> bool:
    """Say whether keys reach us: the terminal sends their signals to each process of the group, the command among them."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
