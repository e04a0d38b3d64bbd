"""A chat service's helpers: what each records, under which names, and that none of them hurts."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.measured import Measured, measured

from otel_kpi import record
from otel_kpi.model.lint import problems
from otel_kpi.packs import chat
from otel_kpi.packs.chat.conversation import _language
from otel_kpi.packs.chat.instruments import PACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PREFIX = "innatural_chatbot"
FOURTEEN = {
    "http_request_duration_seconds",
    "http_requests_total",
    "active_sessions",
    "messages_total",
    "ai_request_duration_seconds",
    "ai_tokens_total",
    "db_query_duration_seconds",
    "db_connections",
    "redis_operations_total",
    "errors_total",
    "product_recommendations_total",
    "user_feedback_total",
    "rate_limit_hits_total",
    "validation_errors_total",
}


@pytest.fixture
def seen() -> Iterator[Measured]:
    with measured(prefixes={"chat": PREFIX}) as found:
        yield found


def test_the_fourteen_series_have_exactly_the_names_of_the_document() -> None:
    compatible = [each for each in PACK.instruments if each.compatibility]
    assert {each.series_name.removeprefix("chat_") for each in compatible} == FOURTEEN
    assert all(each.name.startswith("{chat}.") for each in compatible)


def test_every_one_of_the_fourteen_is_recorded_by_a_helper_or_follows_from_a_measurement() -> None:
    derived = {each.target.name for each in PACK.derivations}
    from otel_kpi.packs.chat import handles

    recorded = {
        each.declaration.name for each in vars(handles).values() if isinstance(each, record.CounterHandle)
    } | {handles.chat_active_sessions.declaration.name}
    compatible = {each.name for each in PACK.instruments if each.compatibility}
    assert compatible == (derived | recorded) & compatible
    assert not derived & recorded, "none is counted by both"


def test_buckets_hold_every_threshold_of_the_document() -> None:
    (duration,) = (each for each in PACK.instruments if each.name == "{chat}.http.request.duration")
    assert getattr(duration, "buckets", ()) == (0.1, 0.5, 1, 2, 5, 10)
    assert {2, 5} <= set(getattr(duration, "buckets", ())), "HighLatency, and slow requests"


def test_the_declarations_follow_the_rules() -> None:
    assert problems([PACK]) == []


def test_messages_are_counted_by_role_and_language(seen: Measured) -> None:
    chat.message("user", "ar")
    chat.message("user", "ar-MA")
    chat.message("assistant", "en_GB.UTF-8")
    chat.track_chat_message("user")
    for name, role, language in (
        ("kpi_chat_messages_total", "kpi_chat_role", "kpi_chat_language"),
        (f"{PREFIX}_messages_total", "role", "language"),
    ):
        assert seen.value(name, **{role: "user", language: "ar"}) == 2
        assert seen.value(name, **{role: "assistant", language: "en"}) == 1
        assert seen.value(name, **{role: "user", language: "unknown"}) == 1


def test_a_session_is_active_for_its_block_however_it_ends(seen: Measured) -> None:
    with chat.session():
        assert seen.value("kpi_chat_sessions_active") == 1
        assert seen.value(f"{PREFIX}_active_sessions") == 1
    for ending in (ValueError, KeyboardInterrupt, SystemExit, asyncio.CancelledError):
        with pytest.raises(ending):
            _end_a_session_with(ending)
    assert seen.value("kpi_chat_sessions_active") == 0
    assert seen.value("kpi_chat_session_duration_seconds")[0] == 5


def _end_a_session_with(ending: type[BaseException]) -> None:
    with chat.session() as session:
        session.end()
        raise ending


def test_an_asynchronous_session_ends_with_its_task(seen: Measured) -> None:
    async def talk() -> None:
        async with chat.session():
            await asyncio.sleep(60)  # until it is cancelled

    async def main() -> None:
        task = asyncio.create_task(talk())
        await asyncio.sleep(0)
        assert seen.value("kpi_chat_sessions_active") == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert seen.value(f"{PREFIX}_active_sessions") == 0


def test_what_one_process_begins_another_may_end(seen: Measured) -> None:
    chat.session_ended(12.5)
    assert seen.value("kpi_chat_sessions_active") == -1
    chat.session_started()
    assert seen.value("kpi_chat_sessions_active") == 0
    assert seen.value("kpi_chat_session_duration_seconds") == (1, 12.5)


def test_recommendations_feedback_and_refusals(seen: Measured) -> None:
    chat.recommendation()
    chat.recommendation(3)
    chat.feedback("positive")
    chat.feedback(5)
    chat.rate_limit_hit()
    chat.validation_error("missing")
    assert seen.value("kpi_chat_product_recommendations_total") == 4
    assert seen.value(f"{PREFIX}_product_recommendations_total") == 4
    assert seen.value("kpi_chat_feedback_total", kpi_chat_feedback_rating="positive") == 1
    assert seen.value(f"{PREFIX}_user_feedback_total", rating="5") == 1
    assert seen.value("kpi_chat_rate_limit_hits_total") == 1
    assert seen.value(f"{PREFIX}_rate_limit_hits_total") == 1
    assert seen.value("kpi_chat_validation_errors_total", error_type="missing") == 1
    assert seen.value(f"{PREFIX}_validation_errors_total", type="missing") == 1
    assert not seen.points(f"{PREFIX}_errors_total"), "what a user sent is no error of the service"


def test_errors_are_counted_by_type_and_severity(seen: Measured) -> None:
    chat.record_error("ValidationError", "warning")
    chat.error(TimeoutError("10.0.0.1 said nothing"))
    chat.error("Whatever", "fatal")
    assert seen.value(f"{PREFIX}_errors_total", type="ValidationError", severity="warning") == 1
    assert seen.value("kpi_chat_errors_total", error_type="TimeoutError", severity="error") == 1
    assert seen.value(f"{PREFIX}_errors_total", type="Whatever", severity="other") == 1


def test_a_call_of_a_model_is_recorded_once_under_opentelemetry_s_names(seen: Measured) -> None:
    chat.track_ai_request("gpt-4", time.time() - 2, True, 150, 300)
    chat.track_ai_request("gpt-4", time.perf_counter() - 1, success=False, error_type="TimeoutError")
    labels = {"gen_ai_operation_name": "chat", "gen_ai_request_model": "gpt-4"}
    name = "gen_ai_client_operation_duration_seconds"
    assert seen.value(name, **labels) == (1, pytest.approx(2, abs=0.5))
    assert seen.value(name, **labels, error_type="TimeoutError") == (1, pytest.approx(1, abs=0.5))
    assert seen.value("gen_ai_client_token_usage", **labels, gen_ai_token_type="input") == (1, 150)
    assert seen.value("gen_ai_client_token_usage", **labels, gen_ai_token_type="output") == (1, 300)


def test_zeros_are_there_before_the_first_refusal(seen: Measured) -> None:
    """An alert on the first one needs a value before it."""
    for name in ("rate_limit_hits_total", "product_recommendations_total", "active_sessions"):
        assert seen.value(f"{PREFIX}_{name}") == 0


@pytest.mark.parametrize(("prefixes", "compatibility"), [({}, True), ({"chat": PREFIX}, False)])
def test_without_a_prefix_or_with_the_switch_off_there_are_only_the_stable_names(
    prefixes: dict[str, str],
    compatibility: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    with measured(prefixes=prefixes, compatibility=compatibility) as found:
        chat.message("user", "ar")
        chat.error("E")
        assert found.value("kpi_chat_messages_total", kpi_chat_role="user", kpi_chat_language="ar") == 1
        data: Any = found.reader.get_metrics_data()
        names = {metric.name for scope in data.resource_metrics[0].scope_metrics for metric in scope.metrics}
        assert not [name for name in names if name.startswith(PREFIX)]


class _Unkind(Enum):
    VALUE = "enum"


class _Raising:
    def __str__(self) -> str:
        raise ValueError("no text")

    def __hash__(self) -> int:
        raise TypeError("no hash")

    def __bool__(self) -> bool:
        raise ValueError("neither")

    def __eq__(self, other: object) -> bool:
        raise ValueError("nothing is equal")


NONSENSE = (
    None,
    "",
    "x" * 1_000_000,
    b"\xff",
    float("nan"),
    float("inf"),
    -1,
    2**70,
    [],
    {},
    object(),
    _Unkind.VALUE,
    _Raising(),
)


def _everything(value: Any) -> None:
    chat.message(value, value)
    chat.recommendation(value)
    chat.feedback(value)
    chat.validation_error(value)
    chat.error(value, value)
    chat.session_ended(value)
    chat.track_ai_request(value, value, value, value, value, provider=value, error_type=value)


@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: type(value).__name__)
def test_no_helper_raises_whatever_it_is_given(seen: Measured, value: Any) -> None:
    _everything(value)
    assert seen.reader.get_metrics_data() is not None


def _speak(each: str) -> None:
    chat.message(each, f"l{each}")


def _fail(each: str) -> None:
    chat.error(each, "error")


def _ask(each: str) -> None:
    chat.track_ai_request(each, time.perf_counter())


@pytest.mark.parametrize(
    ("drive", "series", "most", "ids"),
    [
        (_speak, f"{PREFIX}_messages_total", 5 * 12, 100_000),
        (chat.feedback, f"{PREFIX}_user_feedback_total", 11, 10_000),
        (_fail, f"{PREFIX}_errors_total", 51, 10_000),
        (chat.validation_error, f"{PREFIX}_validation_errors_total", 31, 10_000),
        (_ask, "gen_ai_client_operation_duration_seconds", 62, 10_000),
    ],
)
def test_a_hundred_thousand_ids_stay_within_the_budget(  # noqa: PLR0913, PLR0917 - what is driven, and what is expected
    seen: Measured,
    caplog: pytest.LogCaptureFixture,
    drive: Callable[[str], None],
    series: str,
    most: int,
    ids: int,
) -> None:
    for number in range(ids):
        drive(f"user-{number}")
    points = seen.points(series)
    assert 0 < len(points) <= most
    total = sum(getattr(point, "value", None) or getattr(point, "count", 0) for point in points.values())
    assert total == ids
    assert len([each for each in caplog.records if series.split("_")[-2] in each.message]) <= 4, "said once"
    overflowed = seen.points("otel_kpi_overflowed_values_total")
    assert sum(point.value for point in overflowed.values()) >= ids - 200


def test_threads_that_speak_at_once_lose_no_message(seen: Measured) -> None:
    def speak() -> None:
        for _ in range(2_000):
            chat.message("user", "ar")

    threads = [threading.Thread(target=speak) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen.value(f"{PREFIX}_messages_total", role="user", language="ar") == 16_000


@given(st.text(max_size=35))
def test_a_language_is_short_or_what_it_was(tag: str) -> None:
    found = _language(tag)
    assert found == tag or (len(found) <= 3 and found.isalpha() and found == found.lower())


def test_the_pack_needs_no_sdk() -> None:
    program = (
        "import sys\nfrom otel_kpi import chat\nchat.message('user', 'ar')\nchat.error('E')\n"
        "with chat.session(): pass\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
