"""What `up` has decided: the services and their ports. Everything else is derived from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

from otel_kpi.stack import credentials

if TYPE_CHECKING:
    from otel_kpi.stack.directories import Home

SERVICES = ("collector", "jaeger", "prometheus", "bugsink")


@dataclass(frozen=True, slots=True)
class StackSettings:
    """The decisions of the last ``up``.

    Attributes:
        services: Names, in the order of `SERVICES`.
        port_offset: Added to every default port.
        sentry_dsn: Where applications send errors: Bugsink's project; None without Bugsink.
    """

    services: tuple[str, ...] = SERVICES
    port_offset: int = 0
    sentry_dsn: str | None = None

    @classmethod
    def load(cls, home: Home) -> StackSettings | None:
        """The saved settings, or None when the stack has never been up here."""
        try:
            values = cast("dict[str, Any]", json.loads(home.settings_file.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return None
        return cls(
            services=tuple(name for name in SERVICES if name in values.get("services", ())),
            port_offset=int(values.get("port_offset", 0)),
            sentry_dsn=values.get("sentry_dsn"),
        )

    def save(self, home: Home) -> None:
        """Keep them for ``urls``, ``status`` and the next ``up``."""
        credentials.write_private(home.settings_file, json.dumps(asdict(self), indent=2) + "\n")
