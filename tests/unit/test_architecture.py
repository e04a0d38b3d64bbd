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


def test_packs_run_with_opentelemetry_api_alone() -> None:
    """A library may depend on the helpers without pulling an SDK into its users' environments."""
    program = """
import sys
class Only:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top not in sys.stdlib_module_names and top not in ("otel_kpi", "opentelemetry", "typing_extensions"):
            raise ModuleNotFoundError(name)
        if name.startswith(("opentelemetry.sdk", "opentelemetry.instrumentation", "opentelemetry.semconv", "opentelemetry.exporter")):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Only())
from otel_kpi import analytics, chat, coaching, etl, rag, runtime, security, timed, websocket
@etl.pipeline("marketing")
def main():
    with etl.stage("load") as stage:
        stage.written(3)
    with etl.batches(range(10), size=5, stage="validate") as batches:
        for batch in batches:
            batches.count(valid=len(batch))
timed(main)()
websocket.published("kpi", "marketing")
chat.message("user", "ar")
security.sanitized("html")
analytics.data_points("marketing", 5)
coaching.track_coaching_session("web_user", 5)
with rag.query("faq") as query, query.retrieval("plans") as retrieval:
    retrieval.found(2)
print("done")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("done\n", "", 0)
