"""Runs, their stages and what was refused, as their spans say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.dev.asked import filled, logs, span, spans
from support.dev.made import START_NS, attribute, attributes

from otel_kpi.dev.store.reading import pipeline_run, pipelines
from otel_kpi.dev.store.reading.pipeline_parts import reasons
from otel_kpi.dev.telemetry import LogRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from otel_kpi.dev.telemetry import Span, Value

SECOND = 1_000_000_000


def run(
    run_id: str,
    at: int = 0,
    pipeline: str = "marketing",
    parent: Span | None = None,
    status: int = 0,
    **more: Value,
) -> Span:
    said = {"kpi.etl.pipeline.name": pipeline, "kpi.etl.run.id": run_id, **_named(more)}
    return span(said, name=f"run {pipeline}", start_ns=START_NS + at * SECOND, parent=parent, status=status)


def stage(of: Span, name: str, at: int = 0, **more: Value) -> Span:
    said = {"kpi.etl.stage.name": name, "kpi.etl.stage.type": "load", **_named(more)}
    return span(said, name=name, parent=of, start_ns=of.start_ns + at)


def _named(more: Mapping[str, Value]) -> dict[str, Value]:
    return {f"kpi.etl.{key.replace('__', '.')}": value for key, value in more.items()}


def test_a_run_has_its_stages_in_their_order_and_what_they_counted(tmp_path: Path) -> None:
    shown = run("r1", result="success", quality_score=97.5, records__read=10, records__written=8)
    load, read = stage(shown, "write", 20, records__written=8), stage(shown, "read", 10, records__read=10)
    batch = span({"kpi.etl.batch.index": 0, "kpi.etl.result": "error", "kpi.etl.batch.size": 5}, parent=load)
    with filled(tmp_path / "dev.db", [spans(batch, load, read, shown)]) as store:
        found = pipeline_run.run(store.reader(), "r1")
        assert found is not None
        assert pipeline_run.run(store.reader(), str(found.run.span)) == found
    assert [each.name for each in found.stages] == ["read", "write"]
    assert (found.stages[0].volume.read, found.stages[0].volume.written, found.stages[1].volume.written) == (
        10,
        None,
        8,
    )
    assert [each.span_id for each in found.batches] == [batch.span_id.hex()]
    assert (found.run.quality, found.run.result, found.run.throughput) == (97.5, "success", 8.0)
    assert (found.previous, found.next) == (None, None)


def test_a_stage_belongs_to_the_nearest_run_above_it(tmp_path: Path) -> None:
    outer = run("outer", pipeline="outer")
    inner = run("inner", pipeline="inner", parent=stage(outer, "calls another"))
    sent = [outer, inner, stage(outer, "of the outer"), stage(inner, "of the inner")]
    with filled(tmp_path / "dev.db", [spans(*sent)]) as store:
        found = {name: pipeline_run.run(store.reader(), name) for name in ("outer", "inner")}
    assert [[each.name for each in view.stages] for view in found.values() if view] == [
        ["of the outer"],
        ["of the inner"],
    ]


def test_a_stage_of_another_process_whose_parent_never_came_is_the_only_run_s(tmp_path: Path) -> None:
    shown = run("r1")
    lost = stage(shown, "worker")
    lost.parent_id = b"notfound"
    with filled(tmp_path / "dev.db", [spans(shown, lost)]) as store:
        found = pipeline_run.run(store.reader(), "r1")
    assert found is not None
    assert [each.name for each in found.stages] == ["worker"]


def test_spans_that_are_each_other_s_parents_end(tmp_path: Path) -> None:
    shown = run("r1")
    first, second = stage(shown, "first"), stage(shown, "second")
    first.parent_id, second.parent_id = second.span_id, first.span_id
    with filled(tmp_path / "dev.db", [spans(shown, first, second)]) as store:
        assert pipeline_run.run(store.reader(), "r1") is not None


def test_refused_records_are_by_reason_and_lead_to_spans(tmp_path: Path) -> None:
    shown = run("r1", validation__errors=["missing_email=7", "too_old=1", "late=2"])
    check = stage(shown, "check", validation__errors=["missing_email=7", "too_old=1"])
    batch = span({"kpi.etl.batch.index": 3, "kpi.etl.validation.errors": ["missing_email=4"]}, parent=check)
    with filled(tmp_path / "dev.db", [spans(shown, check, batch)]) as store:
        found = pipeline_run.run(store.reader(), "r1")
    assert found is not None
    assert [(each.reason, each.records) for each in found.refused] == [
        ("missing_email", 7),
        ("late", 2),
        ("too_old", 1),
    ]
    assert [part.span_id for part in found.refused[0].spans] == [check.span_id.hex(), batch.span_id.hex()]
    assert [part.span_id for part in found.refused[1].spans] == [shown.span_id.hex()]


def test_runs_are_compared_with_the_one_before_of_their_pipeline(tmp_path: Path) -> None:
    first, other, second, third = run("r1", 0), run("o", 5, "orders"), run("r2", 10), run("r3", 20)
    with filled(tmp_path / "dev.db", [spans(first, stage(first, "read"), other, third, second)]) as store:
        found = pipeline_run.run(store.reader(), "r2")
        assert found is not None
        assert found.previous is not None
        assert found.previous.run_id == "r1"
        assert [each.name for each in found.previous_stages] == ["read"]
        after = pipeline_run.run(store.reader(), str(found.next))
        assert after is not None
        assert after.run.run_id == "r3"


def test_lists_go_on_before_a_row(tmp_path: Path) -> None:
    sent = [run(f"r{at}", at, status=2 * (at % 2)) for at in range(5)]
    with filled(tmp_path / "dev.db", [spans(*sent), spans(run("o", 9, "orders"))]) as store:
        reader = store.reader()
        first, more = pipelines.runs(reader, pipeline="marketing", limit=3)
        assert ([each.run_id for each in first], more) == (["r4", "r3", "r2"], True)
        rest, more = pipelines.runs(reader, pipeline="marketing", limit=3, before=first[-1].span)
        assert ([each.run_id for each in rest], more) == (["r1", "r0"], False)
        assert [each.run_id for each in pipelines.runs(reader, failed=True)[0]] == ["r3", "r1"]
        assert pipelines.pipelines(reader) == ["marketing", "orders"]
        assert pipelines.extent(reader) == (START_NS, START_NS + 10 * SECOND)


def test_a_run_under_way_is_known_by_its_events_until_it_ends(tmp_path: Path) -> None:
    def event(name: str, at: int, **more: Value) -> LogRecord:
        said = {"kpi.etl.pipeline.name": "marketing", "kpi.etl.run.id": "r1", **more}
        return LogRecord(
            START_NS + at * SECOND, 0, 9, "INFO", attribute("", name), attributes(said), event_name=name
        )

    heard = event(
        "kpi.etl.run.heartbeat",
        60,
        **{"kpi.etl.run.elapsed": 90.0, "kpi.etl.stage.name": "load", "kpi.etl.records.read": 5},
    )
    with filled(tmp_path / "dev.db", [logs(event("kpi.etl.run.start", 0), heard)]) as store:
        (found,) = pipelines.under_way(store.reader(), START_NS + 100 * SECOND)
        assert (found.pipeline, found.stage, found.volume.read) == ("marketing", "load", 5)
        assert (found.start_ns, found.heard_ns) == (START_NS - 30 * SECOND, START_NS + 60 * SECOND)
        assert pipelines.under_way(store.reader(), START_NS + 90_000 * SECOND) == []
        store.write([spans(run("r1"))])
        assert pipelines.under_way(store.reader(), START_NS + 100 * SECOND) == []


def test_what_makes_no_sense_is_left_out(tmp_path: Path) -> None:
    assert reasons(["a=1", "b", "=2", "c=-1", "d=x", 7, "e=f=3", "a=2"]) == {"a": 3, "e=f": 3}
    assert reasons("a=1") == {}
    shown = run(
        "r1", records__read=-5, records__written=True, quality_score=float("nan"), records__rejected="many"
    )
    with filled(tmp_path / "dev.db", [spans(shown)]) as store:
        found = pipeline_run.run(store.reader(), "r1")
        assert pipeline_run.run(store.reader(), "9" * 30) is None
        assert pipeline_run.run(store.reader(), "²") is None
    assert found is not None
    volume = found.run.volume
    assert (volume.read, volume.written, volume.rejected, found.run.quality, found.run.throughput) == (
        None,
    ) * 5


def test_a_run_that_is_forgotten_while_it_is_read_is_whole(tmp_path: Path) -> None:
    shown = run("r1")
    with filled(tmp_path / "dev.db", [spans(stage(shown, "read"), shown)]) as store:
        reader = store.reader()

        def when(statement: str) -> None:
            if statement.startswith("SELECT trace FROM span"):
                store._connection.execute("DELETE FROM span")

        reader.set_trace_callback(when)
        found = pipeline_run.run(reader, "r1")
    assert found is not None
    assert [each.name for each in found.stages] == ["read"]
