"""`otel-kpi dev sql` reads, and can neither write nor run long; what goes out comes in again."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.dev import samples
from support.dev.hostile import in_every_field
from support.dev.served import served

from otel_kpi.cli import main
from otel_kpi.dev.store import Store, StoreError
from otel_kpi.dev.store.sql import SqlError, query
from otel_kpi.dev.store.sql_views import VIEWS


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("store") / "dev.db"
    store = Store(made, most_seconds=10**10)
    for request in samples.requests(400):
        store.write([request])
    store.write(in_every_field("\x1b[31m'; DROP TABLE span; --"))
    store.close()
    return made


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_answers(view: str, path: Path) -> None:
    answer = query(path, f"SELECT * FROM {view}")
    assert answer.rows
    assert all(len(row) == len(answer.columns) for row in answer.rows)
    assert "attributes" not in answer.columns or all(
        json.loads(row[answer.columns.index("attributes")]) is not None for row in answer.rows
    )


def test_a_statement_that_sqlite_does_not_stop_ends_in_its_time_all_the_same(path: Path) -> None:
    words = ("dev", "sql", "SELECT printf('%.*c', 2000000000, 'x')", "--store", str(path), "--seconds", "0.1")
    ended = subprocess.run(
        [str(Path(sys.executable).with_name("otel-kpi")), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "stopped after 0.1 s" in ended.stderr


def test_json_of_an_answer_is_json(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["dev", "sql", "SELECT 1e999 AS a, -1e999 AS b, 1.5 AS c", "--store", str(path), "--json"]) == 0
    )
    assert capsys.readouterr().out == '{"a": null, "b": null, "c": 1.5}\n'


@pytest.mark.parametrize(
    "words",
    [("--limit", "0"), ("--limit", "-1"), ("--seconds", "nan"), ("--seconds", "inf"), ("--seconds", "0")],
)
def test_limits_that_are_none_are_refused(
    words: tuple[str, ...], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["dev", "sql", "SELECT 1", "--store", str(path), *words])
    assert f"argument {words[0]}" in capsys.readouterr().err


def test_attributes_are_asked_for_by_their_key(path: Path) -> None:
    one = query(path, "SELECT row FROM spans WHERE attr(shape, attrs, 'http.route') = '/checkout'").rows
    other = query(path, "SELECT row FROM spans WHERE attributes ->> '$.\"http.route\"' = '/checkout'").rows
    assert one == other
    assert one
    ((kind,),) = query(
        path,
        "SELECT DISTINCT typeof(attr(shape, attrs, 'http.response.status_code')) FROM spans WHERE attr(shape, attrs, 'http.response.status_code') IS NOT NULL",
    ).rows
    assert kind == "integer"
    assert query(path, "SELECT count(*) FROM spans s, json_each(s.events) e").rows[0][0] > 0
    assert query(path, "SELECT attr('x', '[', 1), attr(1, '[', 'a'), attributes(NULL, NULL)").rows == [
        (None, None, None)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM span", "INSERT INTO str VALUES (1, 'x')", "UPDATE span SET kind = 1", "DROP TABLE span",
        "DROP VIEW spans", "CREATE TABLE x (a)", "CREATE TEMP TABLE x (a)", "CREATE TEMP VIEW x AS SELECT 1",
        "CREATE VIRTUAL TABLE temp.x USING fts5(a)", "ALTER TABLE span ADD COLUMN x", "ATTACH '{other}' AS x",
        "VACUUM", "VACUUM INTO '{other}'", "REINDEX", "ANALYZE", "BEGIN", "SAVEPOINT x", "COMMIT", "DETACH main",
        "PRAGMA query_only=0", "PRAGMA journal_mode=DELETE", "PRAGMA user_version=9", "PRAGMA writable_schema=1",
        "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA database_list", "PRAGMA temp_store_directory='{other}'",
        "SELECT load_extension('{other}')", "SELECT writefile('{other}', 'x')", "SELECT readfile('/etc/passwd')",
        "SELECT fts3_tokenizer('x')", "SELECT 1; DELETE FROM span", "WITH x AS (SELECT 1) DELETE FROM span",
        "INSERT INTO fts_1 (fts_1) VALUES ('optimize')", "EXPLAIN DELETE FROM span", "",
        "-- nothing", "SELECT ?", "SELECT :a", "SELECT zeroblob(100000000)", "SELECT 'a\0b'", "SELECT '\ud800'",
        "SELEC 1", "SELECT nothing", "SELECT " + "(" * 2_000 + "1" + ")" * 2_000, "SELECT 1 " + "x" * 200_000,
    ],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_nothing_is_written_and_nothing_else_is_opened(text: str, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    before = hashlib.sha256(path.read_bytes()).digest()
    with pytest.raises(SqlError):
        query(path, text.replace("{other}", str(other)))
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert not other.exists()


@pytest.mark.parametrize(
    "text",
    [
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
        "SELECT count(*) FROM spans a, spans b, spans c WHERE a.name || b.name || c.name = 'x'",
        "SELECT a.attributes FROM spans a, spans b, spans c ORDER BY a.attributes || b.attributes || c.attributes",
    ],
)
def test_a_question_that_runs_long_is_ended(text: str, path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(SqlError, match=r"stopped after 0\.2 s"):
        query(path, text, seconds=0.2)
    assert time.monotonic() - started < 5


def test_an_answer_is_as_long_as_was_asked_for_and_no_name_is_twice(path: Path) -> None:
    answer = query(path, "SELECT name, name, 1 AS name FROM spans", limit=3)
    assert (len(answer.rows), answer.more) == (3, True)
    assert answer.columns == ("name", "name_2", "name_3")
    assert not query(path, "SELECT 1 UNION SELECT 2", limit=2).more


def test_the_store_may_be_written_meanwhile(tmp_path: Path) -> None:
    store = Store(tmp_path / "dev.db", most_seconds=10**10)
    for count, request in enumerate(samples.requests(300), 1):
        store.write([request])
        assert query(store.path, "SELECT count(*) FROM trace").rows[0][0] >= (count > 3)
    store.close()
    with pytest.raises(StoreError, match="is not there"):
        query(tmp_path / "none.db", "SELECT 1")


def test_the_command_prints_tables_lines_and_commas(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from otel_kpi.cli import dev_sql

    def run(*words: str) -> tuple[int, str, str]:
        import argparse

        parser = argparse.ArgumentParser()
        dev_sql.add_arguments(parser)
        status = dev_sql.main(parser.parse_args([*words, "--store", str(path)]))
        said = capsys.readouterr()
        return status, said.out, said.err

    text = "SELECT service, count(*) AS n FROM spans GROUP BY 1 ORDER BY 2 DESC, 1"
    status, out, _ = run(text)
    assert status == 0
    assert out.splitlines()[0].split() == ["service", "n"]
    rows = [json.loads(line) for line in run(text, "--json")[1].splitlines()]
    assert rows[0]["n"] >= rows[1]["n"]
    assert run(text, "--csv")[1].splitlines()[0] == "service,n"
    # What somebody sent does not command the terminal.
    assert "\x1b" not in run("SELECT name FROM spans WHERE name LIKE '%DROP TABLE%'")[1]
    assert run("DELETE FROM span")[0] == 1
    assert "trace_id" in run("SELECT * FROM traces", "--limit", "1")[1]
    assert "pipeline_runs" in run()[1]


def exported(path: Path, file: Path, *words: str) -> list[bytes]:
    import argparse

    from otel_kpi.cli import dev_export

    parser = argparse.ArgumentParser()
    dev_export.add_arguments(parser)
    assert dev_export.main(parser.parse_args([str(file), "--store", str(path), *words])) == 0
    return (gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()).splitlines()


def imported(path: Path, file: Path) -> int:
    import argparse

    from otel_kpi.cli import dev_import

    parser = argparse.ArgumentParser()
    dev_import.add_arguments(parser)
    return dev_import.main(parser.parse_args([str(file), "--store", str(path)]))


def test_what_goes_out_comes_in_again(path: Path, tmp_path: Path) -> None:
    lines = exported(path, tmp_path / "all.jsonl.gz")
    assert {next(iter(json.loads(line))) for line in lines} == {
        "resourceSpans",
        "resourceLogs",
        "resourceMetrics",
    }
    assert imported(tmp_path / "again.db", tmp_path / "all.jsonl.gz") == 0
    assert exported(tmp_path / "again.db", tmp_path / "again.jsonl") == lines
    for view in ("traces", "llm_calls", "pipeline_runs", "stages", "errors"):
        count = f"SELECT count(*) FROM {view}"
        assert query(path, count).rows == query(tmp_path / "again.db", count).rows


def test_one_trace_goes_out_alone(path: Path, tmp_path: Path) -> None:
    ((trace_id, spans),) = query(path, "SELECT trace_id, spans FROM traces WHERE errors LIMIT 1").rows
    lines = exported(path, tmp_path / "one.jsonl", "--trace", trace_id)
    found = [
        span["traceId"]
        for line in lines
        for group in json.loads(line).get("resourceSpans", ())
        for scoped in group["scopeSpans"]
        for span in scoped["spans"]
    ]
    assert found == [trace_id] * spans


def test_lines_that_are_wrong_are_named_and_the_others_kept(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = exported(path, tmp_path / "all.jsonl")
    (tmp_path / "some.jsonl").write_bytes(b"\n".join([lines[0], b"{]", b'{"a": 1}', b"", lines[1]]))
    assert imported(tmp_path / "some.db", tmp_path / "some.jsonl") == 1
    said = capsys.readouterr().err
    assert "line 2:" in said
    assert "line 3:" in said
    assert query(tmp_path / "some.db", "SELECT count(*) FROM span").rows[0][0] > 0
    assert imported(tmp_path / "some.db", tmp_path / "nothing.jsonl") == 1


def test_a_store_that_is_open_elsewhere_is_sent_to(path: Path, tmp_path: Path) -> None:
    exported(path, tmp_path / "all.jsonl")
    with served() as server:
        server.store.tell(server.url)
        assert imported(server.store.path, tmp_path / "all.jsonl") == 0
        count = "SELECT count(*) FROM span"
        assert query(server.store.path, count).rows == query(path, count).rows


def test_the_commands_are_those_of_otel_kpi_dev(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dev", "sql", "SELECT 40 + 2 AS answer", "--store", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"answer": 42}
