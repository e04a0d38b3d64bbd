"""The tables of the store, and how a file of an older version becomes one of this.

What comes again and again is kept once: texts, resources, scopes, and the keys of attributes (a *shape*), so that a span
has the values alone. Whoever adds a table adds a migration, and never changes one that was released.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x6F6B7069
"""`okpi`: by this a file is known to be ours (`PRAGMA application_id`)."""

MIGRATIONS: Final = (
    """
    CREATE TABLE str (id INTEGER PRIMARY KEY, s TEXT NOT NULL UNIQUE);
    CREATE TABLE shape (id INTEGER PRIMARY KEY, keys TEXT NOT NULL UNIQUE);              -- '["http.route","user.id"]'
    CREATE TABLE service (                                                               -- a colour of its own
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, colour INTEGER NOT NULL, first_ns INTEGER NOT NULL);
    CREATE TABLE resource (
        id INTEGER PRIMARY KEY, service INTEGER NOT NULL, shape INTEGER NOT NULL, attrs TEXT NOT NULL,
        UNIQUE (shape, attrs));
    CREATE TABLE scope (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, shape INTEGER NOT NULL, attrs TEXT NOT NULL,
        UNIQUE (name, version, shape, attrs));

    CREATE TABLE trace (
        id INTEGER PRIMARY KEY, trace_id BLOB NOT NULL UNIQUE, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL,
        root_name INTEGER, root_service INTEGER,       -- of the earliest span without a parent; NULL until one has come
        spans INTEGER NOT NULL, errors INTEGER NOT NULL,
        llm_calls INTEGER NOT NULL DEFAULT 0, statements INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE trace_service (
        service INTEGER NOT NULL, trace INTEGER NOT NULL, spans INTEGER NOT NULL, errors INTEGER NOT NULL,
        PRIMARY KEY (service, trace)) WITHOUT ROWID;
    CREATE TABLE span (
        id INTEGER PRIMARY KEY, trace INTEGER NOT NULL, span_id BLOB NOT NULL, parent_id BLOB,
        service INTEGER NOT NULL, resource INTEGER NOT NULL, scope INTEGER NOT NULL, name INTEGER NOT NULL,
        kind INTEGER NOT NULL, status INTEGER NOT NULL, status_message TEXT, start_ns INTEGER NOT NULL,
        dur_ns INTEGER NOT NULL, shape INTEGER NOT NULL, attrs TEXT NOT NULL,            -- '["/x","u1"]'
        events TEXT,                                   -- '[["name", time_ns, {"key": value}], …]'
        links TEXT,                                    -- '[["trace id", "span id", {"key": value}, "state"], …]'
        extra TEXT);               -- '{"trace_state": …, "flags": …, "dropped": [a, e, l], "end_ns": before the start}'
    CREATE INDEX span_trace ON span (trace);
    CREATE TABLE operation (
        service INTEGER NOT NULL, name INTEGER NOT NULL, kind INTEGER NOT NULL,
        PRIMARY KEY (service, name, kind)) WITHOUT ROWID;
    CREATE TABLE call (                                                                  -- who calls whom, by minute
        minute INTEGER NOT NULL, parent INTEGER NOT NULL, child INTEGER NOT NULL, calls INTEGER NOT NULL,
        errors INTEGER NOT NULL, PRIMARY KEY (minute, parent, child)) WITHOUT ROWID;

    CREATE TABLE llm_call (
        span INTEGER PRIMARY KEY, start_ns INTEGER NOT NULL, dur_ns INTEGER NOT NULL, status INTEGER NOT NULL,
        operation INTEGER NOT NULL, provider INTEGER, model INTEGER, feature INTEGER, tenant INTEGER,
        input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER,              -- cached: read of a cache
        cache_write_tokens INTEGER, reasoning_tokens INTEGER, first_chunk_ns INTEGER,    -- nanoseconds since its start
        cost TEXT, currency TEXT, unpriced TEXT);                                        -- cost: a decimal
    CREATE INDEX llm_call_start ON llm_call (start_ns);
    CREATE TABLE pipeline_run (
        span INTEGER PRIMARY KEY, start_ns INTEGER NOT NULL, dur_ns INTEGER NOT NULL, status INTEGER NOT NULL,
        pipeline INTEGER NOT NULL, run_id TEXT, quality REAL);
    CREATE INDEX pipeline_run_start ON pipeline_run (start_ns);
    CREATE TABLE stage (
        span INTEGER PRIMARY KEY, run_id TEXT, pipeline INTEGER, stage INTEGER NOT NULL, start_ns INTEGER NOT NULL,
        dur_ns INTEGER NOT NULL, status INTEGER NOT NULL, records TEXT NOT NULL);        -- '{"records.read": 9, "result": "success", …}', kpi.etl.*
    CREATE INDEX stage_start ON stage (start_ns);

    CREATE TABLE problem (                                                               -- exceptions that are alike
        id INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL UNIQUE, type TEXT NOT NULL, message TEXT NOT NULL,
        frame TEXT NOT NULL, service INTEGER NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
        times INTEGER NOT NULL);
    CREATE TABLE occurrence (
        id INTEGER PRIMARY KEY, problem INTEGER NOT NULL, time_ns INTEGER NOT NULL, span INTEGER, log INTEGER,
        message TEXT NOT NULL, stack TEXT NOT NULL);
    CREATE INDEX occurrence_problem ON occurrence (problem, time_ns);
    CREATE INDEX occurrence_span ON occurrence (span) WHERE span IS NOT NULL;
    CREATE INDEX occurrence_log ON occurrence (log) WHERE log IS NOT NULL;

    CREATE TABLE log (
        id INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, service INTEGER NOT NULL, resource INTEGER NOT NULL,
        scope INTEGER NOT NULL, severity INTEGER NOT NULL, severity_text TEXT, body TEXT NOT NULL, shape INTEGER NOT NULL,
        attrs TEXT NOT NULL, trace_id BLOB, span_id BLOB, event_name TEXT,               -- body: JSON
        extra TEXT);                                   -- '{"observed_ns": …, "flags": …, "dropped": …}'
    CREATE INDEX log_trace ON log (trace_id) WHERE trace_id IS NOT NULL;
    CREATE INDEX log_run ON log (time_ns) WHERE event_name IN ('kpi.etl.run.start', 'kpi.etl.run.heartbeat');

    CREATE TABLE metric (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, unit TEXT NOT NULL, description TEXT NOT NULL,
        temporality INTEGER NOT NULL, monotonic INTEGER NOT NULL, scope INTEGER NOT NULL,
        UNIQUE (name, kind, unit, temporality, monotonic, scope));
    CREATE TABLE series (
        id INTEGER PRIMARY KEY, metric INTEGER NOT NULL, resource INTEGER NOT NULL, service INTEGER NOT NULL,
        shape INTEGER NOT NULL, attrs TEXT NOT NULL, UNIQUE (metric, resource, shape, attrs));
    CREATE TABLE point (
        series INTEGER NOT NULL, time_ns INTEGER NOT NULL, start_ns INTEGER NOT NULL,
        value REAL,                                    -- of gauges and sums; the count of the others
        data TEXT,                                     -- '{"sum":…,"min":…,"max":…,"bounds":[…],"counts":[…]}'
        exemplars TEXT,                                -- '[[value, time_ns, "trace id", "span id", {…}], …]'
        PRIMARY KEY (series, time_ns)) WITHOUT ROWID;

    CREATE TABLE intake (                              -- what became of what was sent, by minute
        minute INTEGER NOT NULL, signal TEXT NOT NULL, outcome TEXT NOT NULL, service INTEGER NOT NULL DEFAULT 0,
        items INTEGER NOT NULL, last TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (minute, signal, outcome, service)) WITHOUT ROWID;
    CREATE TABLE words (                               -- indexes of words, one for a range of ids: `fts_<id>`
        id INTEGER PRIMARY KEY, signal TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER);  -- last: NULL while it grows
    CREATE TABLE arrival (                             -- the last ids that had come by the end of a minute
        minute INTEGER PRIMARY KEY, trace INTEGER NOT NULL, span INTEGER NOT NULL, log INTEGER NOT NULL);
    """,
    """
    ALTER TABLE llm_call ADD COLUMN cost_pico INTEGER;  -- the cost once more, as 10^-12 of it: what SQLite adds exactly
    UPDATE llm_call SET input_tokens = min(input_tokens, 1 << 40), output_tokens = min(output_tokens, 1 << 40),
        cached_tokens = min(cached_tokens, 1 << 40);    -- facts.py: their sums are integers
    """,
    """
    CREATE TABLE problem_minute (                      -- how often, when: also of occurrences that are forgotten
        problem INTEGER NOT NULL, minute INTEGER NOT NULL, times INTEGER NOT NULL,
        PRIMARY KEY (problem, minute)) WITHOUT ROWID;
    INSERT INTO problem_minute SELECT problem, time_ns / 60000000000, count(*) FROM occurrence GROUP BY 1, 2;
    """,
)
"""Each brings a file from the version that is its place here to the next (`PRAGMA user_version`)."""
