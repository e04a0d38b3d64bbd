"""Management commands of Django as runs of a pipeline. Imports Django, so only its users import this module."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from django.core.management.base import BaseCommand
from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider

from otel_kpi.packs.etl.run import run

if TYPE_CHECKING:
    from collections.abc import Mapping

_FLUSH_WITHIN: Final = 5.0
"""Seconds for traces, metrics and logs together."""


class RunOfCommand:
    """Makes a run of `handle()`; mixes into any command class, before it.

    Attributes:
        pipeline: Name of the pipeline; the command's own name unless told otherwise.
    """

    pipeline: str = ""

    def run_options(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """What else to say of the run, for example `{"trigger": "backfill", "nominal": (start, end)}`.

        Args:
            options: The command's, as `handle()` gets them.

        Returns:
            Keyword arguments of `etl.run`.
        """
        del options
        return {}

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run the command as Django does, within a run that ends with its result; then send what was recorded."""
        name = self.pipeline or type(self).__module__.rpartition(".")[2]
        try:
            with run(name, **self.run_options(options)):
                return super().execute(*args, **options)  # type: ignore[misc] # the command class that comes after
        finally:
            flush()


class DjangoCommand(RunOfCommand, BaseCommand):
    """A management command whose `handle()` is a run: its span, its metrics, its result.

    What it raises, an exit and a signal end the run with their own results, and go on as without us.
    """


def flush(within: float = _FLUSH_WITHIN) -> None:
    """Have what was recorded sent, whichever SDK records it; never raises.

    Args:
        within: Seconds for all together.
    """
    deadline = time.monotonic() + within
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider(), get_logger_provider()):
        force_flush = getattr(provider, "force_flush", None)  # of the SDK; the API has none
        left = deadline - time.monotonic()
        if force_flush is not None and left > 0:
            with suppress(Exception):  # whoever sends counts what is lost
                force_flush(int(left * 1000))
