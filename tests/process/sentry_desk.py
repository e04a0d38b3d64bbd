"""A Flask application asked through its test client; argument: DSN. Prints what was answered and the trace ids."""

from __future__ import annotations

import json
import logging
import sys

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from otel_kpi import sentry

trace.set_tracer_provider(TracerProvider())
sentry.start(dsn=sys.argv[1], release="desk@1", environment="test")
assert "flask" not in sys.modules

from flask import Flask, abort, request  # noqa: E402 - the application comes after the distribution

app = Flask(__name__)
log = logging.getLogger("desk")
tracer = trace.get_tracer("desk")
seen: dict[str, str] = {}


@app.route("/broken/<int:number>", methods=["GET", "POST"])
def broken(number: int) -> str:
    with tracer.start_as_current_span("POST /broken", kind=trace.SpanKind.SERVER) as span:
        seen[str(number)] = trace.format_trace_id(span.get_span_context().trace_id)
        sentry.add_breadcrumb(f"crumb of {number}")
        form = request.form.to_dict()
        raise ValueError(f"order {number} is gone, {len(form)}")


@app.route("/said")
def said() -> str:
    with tracer.start_as_current_span("GET /said", kind=trace.SpanKind.SERVER):
        try:
            {}["k"]
        except KeyError as error:
            log.exception("no key")
            raise RuntimeError("effect") from error
    return ""


@app.route("/status/<int:code>")
def status(code: int) -> str:
    abort(code)


client = app.test_client()
answers = [client.get(f"/status/{code}").status_code for code in (400, 401, 404, 429)]
for number in (1, 2):
    answer = client.post(f"/broken/{number}", data={"password": "S1-form"}, headers={"Cookie": "a=S2-cookie"})
    answers.append(answer.status_code)
answers.append(client.get("/said").status_code)
sentry.flush(5.0)
print(json.dumps({"answers": answers, "traces": seen}))
