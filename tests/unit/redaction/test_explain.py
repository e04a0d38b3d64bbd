"""`otel-kpi redact --explain` says what really happens, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.children import BIN, environment, run

from otel_kpi.redaction import Policy, Redactor, Rule
from otel_kpi.redaction.explain import Finding, explain

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [str(BIN / "otel-kpi"), "redact"]
DOCUMENT: dict[str, Any] = {
    "http.route": "/orders/{id}",
    "url.full": "https://bob:hunter2@x.example/?token=abc&page=2",
    "client.address": "203.0.113.77",
    "enduser.id": "bob@example.com",
    "db.query.text": "SELECT * FROM users WHERE id = 17",
    "gen_ai.input.messages": [{"role": "user", "content": "hello"}],
    "user": {"password": "hunter2", "names": ["bob", "card 4242424242424242"]},
    "arguments": ["--token", "abc"],
    "asked": {"role": "user", "content": "hello"},
}
EXPECTED = {
    '["http.route"]': ("kept", ()),
    '["url.full"]': ("replaced", ("user information in an address", "query parameter")),
    '["client.address"]': ("shortened", ("address of a client",)),
    '["enduser.id"]': ("hashed", ("e-mail address",)),
    '["db.query.text"]': ("replaced", ("literals of a database statement",)),
    '["gen_ai.input.messages"]': ("dropped", ("content of a conversation with a model",)),
    ".user.password": ("replaced", ("its name says that it is a secret",)),
    ".user.names[0]": ("kept", ()),
    ".user.names[1]": ("replaced", ("payment card number",)),
    ".arguments[0]": ("kept", ()),
    ".arguments[1]": ("replaced", ("the value before it names a secret",)),
    ".asked.role": ("kept", ()),
    ".asked.content": ("replaced", ("what stands beside it says so",)),
}


def test_each_path_has_its_action_and_its_reasons() -> None:
    found = {each.path: (each.action, each.reasons) for each in explain(Redactor(Policy()), DOCUMENT)}
    assert found == EXPECTED


def test_allow_list_pattern_and_broken_rule_are_named() -> None:
    def broken(text: str) -> str:
        if "boom" in text:
            raise RuntimeError
        return text

    redactor = Redactor(Policy(allow=("note",), patterns=("KD-[0-9]+",), rules=(Rule("mine", broken),)))
    found = {
        each.path: each for each in explain(redactor, {"note": "a@b.example", "a": "KD-17", "b": "boom"})
    }
    assert found[".note"] == Finding(".note", "kept", ("the allow-list has its name",), "a@b.example")
    assert found[".a"] == Finding(".a", "replaced", ("pattern KD-[0-9]+",), "[redacted]")
    assert found[".b"] == Finding(".b", "replaced", ("a rule failed (RuntimeError)",), "[redacted]")


texts = st.sampled_from(
    ["plain", "password=x", "bob@example.com", "203.0.113.7", "--token", "abc", "SELECT 'a'"]
)
names = st.sampled_from(["a", "password", "client.address", "db.query.text", "user"])
documents = st.recursive(
    st.one_of(texts, st.integers(), st.none(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(names, documents, max_size=4))
def test_explanation_is_what_happens(document: dict[str, Any]) -> None:
    """Something is explained as not kept exactly when the document does not leave as it is."""
    redactor = Redactor(Policy())
    actions = {each.action for each in explain(redactor, document)}
    assert (actions <= {"kept"}) == (redactor.value("", document) == document)


def test_command_prints_a_line_for_each_value(tmp_path: Path) -> None:
    file = tmp_path / "span.json"
    file.write_text(json.dumps(DOCUMENT))
    ended = run([*COMMAND, "--explain", str(file)], environment())
    assert (ended.returncode, ended.stderr) == (1, "")
    lines = ended.stdout.splitlines()
    assert len(lines) == len(EXPECTED)
    assert lines[1].split(maxsplit=1)[0] == "replaced"
    assert "https://[redacted]@x.example/?token=[redacted]&page=2" in lines[1]
    assert "hunter2" not in ended.stdout


def test_command_prints_json_and_what_leaves(tmp_path: Path) -> None:
    file = tmp_path / "span.json"
    file.write_text(json.dumps(DOCUMENT))
    explained = json.loads(run([*COMMAND, "--json", str(file)], environment()).stdout)
    assert {
        each["path"]: (each["action"], tuple(each["reasons"])) for each in explained["findings"]
    } == EXPECTED
    leaves = json.loads(run([*COMMAND, str(file)], environment()).stdout)
    assert leaves == explained["leaves"]
    assert "gen_ai.input.messages" not in leaves


def test_clean_document_is_status_0_and_the_environments_policy_holds(tmp_path: Path) -> None:
    file = tmp_path / "clean.json"
    file.write_text('{"customer_no": "17"}')
    assert run([*COMMAND, str(file)], environment()).returncode == 0
    ended = run([*COMMAND, "--explain", str(file)], environment(OTEL_KPI_REDACT_KEYS="customer_no"))
    assert ended.returncode == 1
    assert ended.stdout.startswith("replaced  .customer_no")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": }', "not JSON: Expecting value at line 1, column 7"),
        (b"", "not JSON: Expecting value at line 1, column 1"),
        (b'{"a": "\xff"}', "not UTF-8: byte 7 is 0xff"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_broken_document_is_one_line_and_status_2(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "broken.json"
    file.write_bytes(content)
    ended = run([*COMMAND, str(file)], environment())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"otel-kpi redact: {file}: {message}\n"


def test_missing_file_is_one_line_and_status_2() -> None:
    ended = run([*COMMAND, "nowhere.json"], environment())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "otel-kpi redact: nowhere.json: No such file or directory\n"


def test_lines_of_a_log_file_are_documents(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"a": 1}\n\n{"password": "x"}\n')
    ended = run([*COMMAND, "--explain", str(file)], environment())
    assert ended.returncode == 1
    assert [line.split()[:2] for line in ended.stdout.splitlines()] == [
        ["kept", ".a"],
        ["replaced", ".password"],
    ]
