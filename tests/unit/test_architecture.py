"""The arrows between modules that DESIGN draws, on the code as it is."""

from __future__ import annotations

import subprocess
import sys


def test_starting_an_application_imports_no_exporter_and_no_library_that_it_does_not_use() -> None:
    """What start-up costs is what it imports; each of these took part in stock's two seconds."""
    program = (
        "import sys, otel_kpi; otel_kpi.configure();"
        "heavy = ['sentry_sdk', 'urllib3', 'http.client', 'fastapi', 'django', 'sqlalchemy', 'requests', 'httpx',"
        "'opentelemetry.instrumentation.fastapi', 'otel_kpi.cli', 'otel_kpi.stack', 'google.protobuf'];"
        "print([name for name in heavy if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
