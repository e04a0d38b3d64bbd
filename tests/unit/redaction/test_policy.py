"""What a user decides holds, wherever it is written; a rule that fails drops the value and nothing else."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import pytest
from support.children import environment, run

from otel_kpi import redaction
from otel_kpi.redaction import Policy, Rule, policy_of, redact_attributes, redact_text, redact_value, use
from otel_kpi.resolution import load

if TYPE_CHECKING:
    from pathlib import Path


def test_named_keys_never_leave_whatever_their_spelling() -> None:
    use(Policy(keys=("customer_no", "*.pin", "Kundennummer")))
    given = {
        "order.customerNo": "17",
        "CUSTOMER-NO": "17",
        "card.pin": "1",
        "kundennummer": "9",
        "customer": "c",
    }
    kept = redact_attributes(given)
    assert kept == dict.fromkeys(given, "[redacted]") | {"customer": "c"}
    assert redact_text("customer_no=4711, b=1") == "customer_no=[redacted], b=1"
    assert redact_text("?kundennummer=4711") == "?kundennummer=[redacted]"


def test_allowed_names_leave_as_they_are() -> None:
    use(Policy(allow=("order.token", "build.*")))
    given = {"order.token": "abc", "build.commit": "4242424242424242", "user.token": "x"}
    assert redact_attributes(given) == {**given, "user.token": "[redacted]"}
    assert redact_value("order_token", {"password": "p"}) == {"password": "p"}
    assert redact_text("order.token=abc token=abc") == "order.token=abc token=[redacted]"


def test_allow_wins_over_keys_and_content() -> None:
    use(Policy(keys=("a",), allow=("a", "gen_ai.prompt")))
    assert redact_attributes({"a": "1", "gen_ai.prompt": "hi"}) == {"a": "1", "gen_ai.prompt": "hi"}


def test_star_alone_switches_redaction_off_and_says_so() -> None:
    assert use(Policy(allow=("*",))) == ("redaction is off: everything leaves as it is",)
    given = {"password": "p", "db.query.text": "SELECT 'a'"}
    assert redact_attributes(given) is given
    assert redact_text("password=p") == "password=p"


def test_patterns_replace_what_they_match_or_their_group() -> None:
    assert use(Policy(patterns=(r"KD-\d{6}", r"case (?P<secret>\w+) of"))) == ()
    assert (
        redact_text("customer KD-471100 in case blue of ten")
        == "customer [redacted] in case [redacted] of ten"
    )
    assert redact_attributes({"a": "KD-123456"}) == {"a": "[redacted]"}
    long = f"{'x' * 9000} KD-471100 {'y' * 9000} KD-471101"
    assert "KD-" not in redact_text(long)


@pytest.mark.parametrize("setting", ["true", "span_only", "EVENT_ONLY", "span_and_event"])
def test_content_leaves_only_where_a_setting_says_so(setting: str) -> None:
    given = {"gen_ai.input.messages": "hi", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 3}
    assert redact_attributes(given) == {"gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 3}
    settings, problems = load({"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": setting})
    assert problems == ()
    use(policy_of(settings))
    assert redact_attributes(given) is given
    # Content may leave; a secret in it may not.
    assert redact_attributes({"gen_ai.prompt": "password=hunter2"}) == {
        "gen_ai.prompt": "password=[redacted]"
    }


def test_rule_that_raises_drops_the_value_and_not_the_span() -> None:
    def broken(text: str) -> str:
        if "boom" in text:
            raise RuntimeError(text)
        return text

    use(Policy(rules=(Rule("mine", broken),)))
    assert redact_attributes({"a": "boom", "b": "fine", "c": 1}) == {"a": "[redacted]", "b": "fine", "c": 1}


def test_rule_in_code_is_asked_only_behind_its_markers() -> None:
    asked: list[str] = []

    def rule(text: str) -> str:
        asked.append(text)
        return text.replace("KD", "**")

    use(Policy(rules=(Rule("mine", rule, markers=("kd",)),)))
    assert [redact_text(text) for text in ("plain", "KD-1")] == ["plain", "**-1"]
    assert asked == ["KD-1"]


def test_hash_of_an_address_depends_on_the_key_alone() -> None:
    def of(key: str) -> str:
        use(Policy(hash_key=key))
        return redact_text("bob@example.com")

    assert of("one") != of("two")
    assert of("one") == of("one")
    program = (
        "from otel_kpi.redaction import *; use(Policy(hash_key='one')); print(redact_text('bob@example.com'))"
    )
    assert run([os.sys.executable, "-c", program], environment()).stdout.strip() == of("one")  # type: ignore[attr-defined] # of `sys`


def test_settings_make_the_policy() -> None:
    settings, problems = load(
        {
            "OTEL_KPI_REDACT_KEYS": "customer_no, *.pin",
            "OTEL_KPI_REDACT_ALLOW": "order.token",
            "OTEL_KPI_REDACT_PATTERNS": r'["KD-\\d+", "a,b"]',
            "OTEL_KPI_REDACT_HASH_KEY": "k",
        }
    )
    assert problems == ()
    assert policy_of(settings) == Policy(
        keys=("customer_no", "*.pin"), allow=("order.token",), patterns=(r"KD-\d+", "a,b"), hash_key="k"
    )
    listed, problems = load({}, redact_keys=["a"], redact_patterns=["b"], redact_allow=["c"])
    assert problems == ()
    assert policy_of(listed) == Policy(keys=("a",), patterns=("b",), allow=("c",))


@pytest.mark.parametrize(
    ("written", "patterns"),
    [
        ("[0-9]{9}", ("[0-9]{9}",)),
        ("a\nb", ("a", "b")),
        ("[ab]", ("[ab]",)),
        ("[1]", ("[1]",)),
        ('["a", "b"]', ("a", "b")),
    ],
)
def test_patterns_of_the_environment_are_one_a_line_or_a_list(
    written: str, patterns: tuple[str, ...]
) -> None:
    assert load({"OTEL_KPI_REDACT_PATTERNS": written})[0].redact_patterns == patterns


_PROGRAM = """
import otel_kpi
otel_kpi.configure({code})
from otel_kpi.redaction import redact_text, redact_attributes
from opentelemetry import trace
print(redact_text("KD-471100"), dict(redact_attributes({{"customer_no": "17", "token": "t"}})))
"""


def test_code_environment_and_file_decide_alike(tmp_path: Path) -> None:
    expected = "[redacted] {'customer_no': '[redacted]', 'token': 't'}\n"
    off = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    code = "redact_keys=['customer_no'], redact_patterns=[r'KD-\\d+'], redact_allow=['token']"
    file = tmp_path / "otel.yaml"
    file.write_text(
        'file_format: "1.0"\ndistribution:\n  otel_kpi:\n    redact_keys: [customer_no]\n'
        "    redact_patterns: ['KD-\\d+']\n    redact_allow: [token]\n"
    )
    ways: list[tuple[str, dict[str, str]]] = [
        (code, off),
        ("", {**off, "OTEL_KPI_REDACT_KEYS": "customer_no", "OTEL_KPI_REDACT_PATTERNS": r"KD-\d+", "OTEL_KPI_REDACT_ALLOW": "token"}),
        ("", {"OTEL_CONFIG_FILE": str(file)}),
    ]  # fmt: skip
    for given, variables in ways:
        ended = run([os.sys.executable, "-c", _PROGRAM.format(code=given)], environment(**variables))  # type: ignore[attr-defined] # of `sys`
        assert (ended.stdout, ended.returncode) == (expected, 0), ended.stderr


def test_pattern_that_cannot_be_used_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    lines = use(Policy(patterns=("(", r"KD-\d+")))
    assert len(lines) == 1
    assert lines[0].startswith("the redaction pattern '(' is not used: not a regular expression")
    assert redact_text("KD-1") == "[redacted]"
    assert caplog.records == []


def test_resource_does_not_carry_a_password() -> None:
    from otel_kpi.resource import create_resource

    written = "db.password=hunter2,owner=bob%40example.com,team=blue,url=redis%3A%2F%2F%3Ahunter2%40h"
    attributes: dict[str, Any] = dict(
        create_resource(load({"OTEL_RESOURCE_ATTRIBUTES": written})[0]).attributes
    )
    assert attributes["db.password"] == "[redacted]"
    assert attributes["team"] == "blue"
    assert "hunter2" not in str(attributes)
    assert "bob@" not in str(attributes)
    assert attributes["service.name"].startswith("unknown_service:")


def test_policy_is_the_same_object_until_another_is_used() -> None:
    before = redaction.active()
    use(Policy(keys=("a",)))
    assert redaction.active() is not before
    logging.getLogger("otel_kpi").debug("nothing else changes")
