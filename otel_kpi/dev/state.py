"""What the parts of a running `otel-kpi dev` share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_kpi.dev.intake import Intake
    from otel_kpi.dev.store import Store
    from otel_kpi.dev.views import Traces


@dataclass(slots=True)
class Dev:
    """What pages and APIs are given (`request.app.state.dev`).

    Attributes:
        traces: Where the trace pages read: the store, or a Jaeger.
        store: None where only a Jaeger is looked at.
        intake: The same.
        address: Where it receives, `http://127.0.0.1:4318`; empty where it does not.
        command: What was started with it; empty where nothing was.
        hosts: Names by which it may be asked, beside those of this machine.
        token: What everybody must carry where others on the network reach it; empty on loopback.
    """

    traces: Traces
    store: Store | None = None
    intake: Intake | None = None
    address: str = ""
    command: tuple[str, ...] = ()
    hosts: frozenset[str] = field(default_factory=frozenset[str])
    token: str = field(default="", repr=False)
