"""The example systems as the demo has them: SQLite where they need a database, a provider of models that charges nobody."""

import asyncio
import contextlib
import itertools
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import coaching_ia.services
import coaching_ia.traffic.driver
import coaching_ia.traffic.script
import innatural_chatbot.services
import innatural_chatbot.traffic.driver
import innatural_chatbot.traffic.script
import kpi_system.services
import kpi_system.traffic.driver
import storefront.services
import storefront.traffic.driver
import storefront.traffic.script

ENVIRONMENT = "demo"
JOB_EACH = 4  # rounds
RATE, SECONDS = 5, 4
"""Requests a second, and for how long: the script has at least one of each kind."""


@dataclass(frozen=True, slots=True)
class System:
    """A system that can be started.

    Attributes:
        running: Prepares it; what is returned runs its services for the length of a block, ready when it is entered.
        round: Sends a few seconds of traffic; given the number of the round, from 0.
    """

    running: Callable[[], AbstractContextManager[object]]
    round: Callable[[int], None]


def shop(data: Path, variables: dict[str, str]) -> System:
    """The storefront: a shop, its back office, an assistant, imports."""
    system = storefront.services.System(
        environment=ENVIRONMENT, first_port=free_ports(8001, 3), data=data, extra=variables
    )

    def running() -> AbstractContextManager[object]:
        storefront.services.prepare(system)
        return storefront.services.running(system)

    def round_(number: int) -> None:
        script = storefront.traffic.script.requests(RATE, SECONDS, seed=number + 1)
        asyncio.run(storefront.traffic.driver.send(script, system.shop_url, RATE))

    return System(running, round_)


def chat(data: Path, variables: dict[str, str]) -> System:
    """The chatbot of several shops, with its provider of models."""
    system = innatural_chatbot.services.System(
        environment=ENVIRONMENT, port=free_ports(8101, 2), data=data, extra=variables
    )
    name = secrets.token_hex(3)

    def running() -> AbstractContextManager[object]:
        innatural_chatbot.services.prepare(system)
        return innatural_chatbot.services.running(system)

    def round_(number: int) -> None:
        talk = innatural_chatbot.traffic.script.conversations(5, f"{name}-{number}")
        asyncio.run(innatural_chatbot.traffic.driver.send(talk, system.url))

    return System(running, round_)


def coach(data: Path, variables: dict[str, str]) -> System:
    """The coach of several clubs, with models of two companies."""
    system = coaching_ia.services.System(
        environment=ENVIRONMENT, port=free_ports(8201, 4), data=data, extra=variables
    )

    def round_(_: int) -> None:
        talk = coaching_ia.traffic.script.sessions(6)
        asyncio.run(coaching_ia.traffic.driver.play(talk, system.url(), system.password))

    return System(partial(coaching_ia.services.running, system), round_)


def kpi(data: Path, variables: dict[str, str]) -> System:
    """The KPI system: pipelines, analytics, sockets, sign-ins, and a job that runs once."""
    system = kpi_system.services.System(
        environment=ENVIRONMENT, port=free_ports(8011, 2), data=data, extra=variables
    )

    async def played() -> None:
        async with kpi_system.traffic.driver.played(system.url, system.office_url, system.key, 1):
            pass

    def round_(number: int) -> None:
        asyncio.run(played())
        if number % JOB_EACH == 0:
            kpi_system.services.run_job(system)

    return System(partial(kpi_system.services.running, system), round_)


SYSTEMS: dict[str, Callable[[Path, dict[str, str]], System]] = {
    "storefront": shop,
    "innatural_chatbot": chat,
    "coaching_ia": coach,
    "kpi_system": kpi,
}


def first_run(data: Path, variables: dict[str, str]) -> None:
    """One run of a pipeline: a process that needs nothing else, so a page has something to show at once."""
    data.mkdir(parents=True, exist_ok=True)
    kpi_system.services.run_job(kpi_system.services.System(ENVIRONMENT, data=data, extra=variables))


def free_ports(first: int, count: int) -> int:
    """The first of so many ports in a row that nobody listens on, from `first` on."""
    for begin in itertools.islice(itertools.count(first, 37), 400):
        with ExitStack() as held, contextlib.suppress(OSError):
            for port in range(begin, begin + count):
                listener = held.enter_context(socket.socket())
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
                listener.bind(("127.0.0.1", port))
            return begin
    raise SystemExit(f"no {count} ports in a row are free from {first} on")
