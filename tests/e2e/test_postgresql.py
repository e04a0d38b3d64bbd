"""The same numbers with the example's databases on a real PostgreSQL server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from storefront.audit import round as rounds
from support import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storefront.audit.stores import Addresses
    from storefront.services import System


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    with servers.postgresql() as server:
        yield f"postgresql://{server.address}"


@pytest.mark.proof
def test_every_number_is_found_with_postgresql(
    stack: Addresses, new_system: Callable[[int], System], database_url: str
) -> None:
    system = new_system(2)
    system = replace(system, extra=system.extra | {"STOREFRONT_DATABASE_URL": database_url})
    played = rounds.play(system, stack, rate=50, duration=6)
    assert not played.unplanned
    wrong = [f"{finding.store}: {line}" for finding in played.findings for line in finding.differences]
    assert not wrong, "\n".join(wrong)
