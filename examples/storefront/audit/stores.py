"""Where the stores are, and the one HTTP client that asks them."""

import json
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import httpx

from storefront import services


@dataclass(frozen=True, slots=True)
class Addresses:
    """What `otel-kpi stack urls --json` says, as far as it is needed here."""

    otlp_http: str
    jaeger: str
    prometheus: str
    sentry_dsn: str
    bugsink_api: str
    bugsink_token_file: str
    logs_file: str

    @classmethod
    def of_stack(cls) -> "Addresses":
        """Ask the stack of this user (or of `OTEL_KPI_STACK_HOME`)."""
        command = [services.launch("otel-kpi")[0], "stack", "urls", "--json"]
        said = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        if said["sentry_dsn"] is None:
            raise SystemExit("no stack was ever started here: otel-kpi stack up")
        return cls(**{each.name: said[each.name] for each in fields(cls)})

    def variables(self) -> dict[str, str]:
        """The two variables that an observed process needs."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.otlp_http, "SENTRY_DSN": self.sentry_dsn}

    def token(self) -> str:
        """Bugsink's bearer token."""
        return Path(self.bugsink_token_file).read_text(encoding="ascii").strip()


def get(url: str, parameters: dict[str, str | int] | None = None, *, token: str | None = None) -> Any:
    """Return the JSON that a store answers.

    Raises:
        httpx.HTTPError: It does not answer, or not with 200.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = httpx.get(url, params=parameters, headers=headers, timeout=60, trust_env=False)
    answer.raise_for_status()
    return answer.json()
