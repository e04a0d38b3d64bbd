# ruff: noqa: S608 - the words of the views are all here
"""The tables as people ask them: names in place of numbers, milliseconds, attributes as JSON.

They are temporary views of the connection that asks, so that the file has nothing of them. Columns that nobody asks for cost
nothing: the joins are to one row each, and SQLite leaves out those that it does not need.
"""

from __future__ import annotations

from typing import Final

_WHEN: Final = "strftime('%Y-%m-%d %H:%M:%f', {0} / 1e9, 'unixepoch')"
_KIND: Final = (
    "CASE {0} WHEN 1 THEN 'internal' WHEN 2 THEN 'server' WHEN 3 THEN 'client' WHEN 4 THEN 'producer' "
    "WHEN 5 THEN 'consumer' ELSE 'unspecified' END"
)
_STATUS: Final = "CASE {0} WHEN 1 THEN 'ok' WHEN 2 THEN 'error' ELSE 'unset' END"
_NAMED: Final = "(SELECT s FROM main.str WHERE id = {0})"
_SERVICE: Final = "(SELECT name FROM main.service WHERE id = {0})"
_RESOURCE: Final = "(SELECT attributes(shape, attrs) FROM main.resource WHERE id = {0})"
_OF_SPAN: Final = "LEFT JOIN main.span s ON s.id = {0} LEFT JOIN main.trace t ON t.id = s.trace"

VIEWS: Final = {
    "traces": f"""
        SELECT t.id AS row, lower(hex(t.trace_id)) AS trace_id, {_SERVICE.format("t.root_service")} AS service,
            {_NAMED.format("t.root_name")} AS name, {_WHEN.format("t.start_ns")} AS time,
            (t.end_ns - t.start_ns) / 1e6 AS duration_ms, t.spans, t.errors, t.llm_calls, t.statements, t.start_ns
        FROM main.trace t""",
    "spans": f"""
        SELECT s.id AS row, lower(hex(t.trace_id)) AS trace_id, lower(hex(s.span_id)) AS span_id,
            lower(hex(s.parent_id)) AS parent_id, v.name AS service, n.s AS name, {_KIND.format("s.kind")} AS kind,
            {_STATUS.format("s.status")} AS status, s.status_message, {_WHEN.format("s.start_ns")} AS time,
            s.dur_ns / 1e6 AS duration_ms, attributes(s.shape, s.attrs) AS attributes, s.events, s.links,
            {_RESOURCE.format("s.resource")} AS resource, c.name AS scope, s.start_ns, s.shape, s.attrs
        FROM main.span s LEFT JOIN main.trace t ON t.id = s.trace LEFT JOIN main.service v ON v.id = s.service
            LEFT JOIN main.str n ON n.id = s.name LEFT JOIN main.scope c ON c.id = s.scope""",
    "logs": f"""
        SELECT l.id AS row, {_WHEN.format("l.time_ns")} AS time, v.name AS service, l.severity, l.severity_text,
            plain(l.body) AS body, attributes(l.shape, l.attrs) AS attributes, l.event_name,
            lower(hex(l.trace_id)) AS trace_id, lower(hex(l.span_id)) AS span_id,
            {_RESOURCE.format("l.resource")} AS resource, c.name AS scope, l.time_ns, l.shape, l.attrs
        FROM main.log l LEFT JOIN main.service v ON v.id = l.service LEFT JOIN main.scope c ON c.id = l.scope""",
    "llm_calls": f"""
        SELECT c.span AS row, lower(hex(t.trace_id)) AS trace_id, {_SERVICE.format("s.service")} AS service,
            {_WHEN.format("c.start_ns")} AS time, c.dur_ns / 1e6 AS duration_ms, {_STATUS.format("c.status")} AS status,
            {_NAMED.format("c.operation")} AS operation, {_NAMED.format("c.provider")} AS provider,
            {_NAMED.format("c.model")} AS model, {_NAMED.format("c.feature")} AS feature,
            {_NAMED.format("c.tenant")} AS tenant, c.input_tokens, c.output_tokens, c.cached_tokens,
            c.cache_write_tokens, c.reasoning_tokens, c.first_chunk_ns / 1e6 AS first_chunk_ms,
            CAST(c.cost AS REAL) AS cost, c.currency, c.unpriced, c.start_ns
        FROM main.llm_call c {_OF_SPAN.format("c.span")}""",
    "pipeline_runs": f"""
        SELECT r.span AS row, lower(hex(t.trace_id)) AS trace_id, r.run_id, {_NAMED.format("r.pipeline")} AS pipeline,
            {_WHEN.format("r.start_ns")} AS time, r.dur_ns / 1e6 AS duration_ms, {_STATUS.format("r.status")} AS status,
            r.quality, r.start_ns
        FROM main.pipeline_run r {_OF_SPAN.format("r.span")}""",
    "stages": f"""
        SELECT g.span AS row, lower(hex(t.trace_id)) AS trace_id, g.run_id, {_NAMED.format("g.pipeline")} AS pipeline,
            {_NAMED.format("g.stage")} AS stage, {_WHEN.format("g.start_ns")} AS time, g.dur_ns / 1e6 AS duration_ms,
            {_STATUS.format("g.status")} AS status, g.records, g.start_ns
        FROM main.stage g {_OF_SPAN.format("g.span")}""",
    "errors": f"""
        SELECT p.id AS row, p.type, p.message, p.frame, {_SERVICE.format("p.service")} AS service,
            {_WHEN.format("p.first_ns")} AS first, {_WHEN.format("p.last_ns")} AS last, p.times
        FROM main.problem p""",
    "occurrences": f"""
        SELECT o.id AS row, o.problem AS error, {_WHEN.format("o.time_ns")} AS time, lower(hex(t.trace_id)) AS trace_id,
            o.message, o.stack, o.span, o.log
        FROM main.occurrence o {_OF_SPAN.format("o.span")}""",
    "instruments": """
        SELECT m.id AS row, m.name, m.kind, m.unit, m.description, c.name AS scope,
            (SELECT count(*) FROM main.series e WHERE e.metric = m.id) AS series
        FROM main.metric m LEFT JOIN main.scope c ON c.id = m.scope""",
    "points": f"""
        SELECT m.name AS instrument, m.unit, v.name AS service, attributes(e.shape, e.attrs) AS attributes,
            {_WHEN.format("p.time_ns")} AS time, p.value, p.data, p.exemplars, p.time_ns, e.shape, e.attrs
        FROM main.point p JOIN main.series e ON e.id = p.series JOIN main.metric m ON m.id = e.metric
            LEFT JOIN main.service v ON v.id = e.service""",
    "calls": f"""
        SELECT {_WHEN.format("k.minute * 60e9")} AS time, {_SERVICE.format("k.parent")} AS parent,
            {_SERVICE.format("k.child")} AS child, k.calls, k.errors
        FROM main.call k""",
}
"""What each is made of, by its name."""
