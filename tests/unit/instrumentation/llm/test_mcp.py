"""The Model Context Protocol: spans of both sides in one trace on every transport, times, sessions, consent."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.mcp_shop import shop
from support.rearmed import disarmed

from otel_kpi.instrumentation.boundary import Boundary

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    from .conftest import Followed

MODES: Any = ["auto", "legacy"]
OPERATIONS = "mcp_{}_operation_duration_seconds"


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    # The SDK prints tracebacks of tools that fail.
    caplog.set_level(logging.CRITICAL)


def spans(followed: Followed, kind: SpanKind) -> dict[str, ReadableSpan]:
    """Spans of the protocol by their names."""
    found = followed.captured.spans(kind)
    return {span.name: span for span in found if "mcp.method.name" in (span.attributes or {})}


def identity(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def within(mode: Any, do: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        async with Client(shop(), mode=mode) as client:
            return await do(client)

    return asyncio.run(run())


@pytest.mark.parametrize("mode", MODES)
def test_a_tool_is_called_in_one_trace(followed: Followed, mode: Any) -> None:
    async def do(client: Client) -> Any:
        with trace.get_tracer("app").start_as_current_span("order"):
            return await client.call_tool("add", {"a": 1, "b": 2})

    assert within(mode, do).structured_content == {"result": 3}
    client, server = (spans(followed, kind)["tools/call add"] for kind in (SpanKind.CLIENT, SpanKind.SERVER))
    named = {span.name: span for span in followed.captured.spans()}
    assert client.parent is not None
    assert client.parent.span_id == identity(named["order"]).span_id
    assert server.parent is not None
    assert server.parent.span_id == identity(client).span_id
    inside = named["reckon"].parent
    assert inside is not None
    assert inside.span_id == identity(server).span_id
    for span in (client, server):
        assert (span.attributes or {}).items() >= {
            "mcp.method.name": "tools/call",
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "add",
            "mcp.protocol.version": "2026-07-28" if mode == "auto" else "2025-11-25",
        }.items()
        assert span.status.status_code is StatusCode.UNSET
    for side in ("client", "server"):
        assert followed.series.points(OPERATIONS.format(side))
        tools = {
            dict(labels).get("gen_ai_tool_name") for labels in followed.series.labels(OPERATIONS.format(side))
        }
        assert "add" in tools


@pytest.mark.parametrize("mode", MODES)
def test_every_method_has_its_name_and_its_target(followed: Followed, mode: Any) -> None:
    async def do(client: Client) -> None:
        await client.list_tools()
        await client.read_resource("shop://stock")
        await client.get_prompt("greeting", {"name": "Mary"})
        await client.list_prompts()

    within(mode, do)
    for kind in (SpanKind.CLIENT, SpanKind.SERVER):
        found = spans(followed, kind)
        assert {"tools/list", "resources/read", "prompts/get greeting", "prompts/list"} <= set(found)
        assert (found["resources/read"].attributes or {})["mcp.resource.uri"] == "shop://stock"
        assert (found["prompts/get greeting"].attributes or {})["gen_ai.prompt.name"] == "greeting"
        assert not any(name.startswith("MCP send") for name in found)


def test_a_tool_that_fails_is_an_error_on_both_sides(followed: Followed) -> None:
    async def do(client: Client) -> Any:
        return await client.call_tool("fail", {})

    assert within("auto", do).is_error is True
    for side, kind in (("client", SpanKind.CLIENT), ("server", SpanKind.SERVER)):
        span = spans(followed, kind)["tools/call fail"]
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"] == "tool_error"
        assert "tool_error" in {
            dict(labels).get("error_type") for labels in followed.series.labels(OPERATIONS.format(side))
        }


@pytest.mark.parametrize("mode", MODES)
def test_an_error_is_the_sdks_own_with_its_code(followed: Followed, mode: Any) -> None:
    async def do(client: Client) -> None:
        with pytest.raises(MCPError) as raised:
            await client.session.send_request(_unknown(), _anything())
        assert raised.value.error.code == -32601

    within(mode, do)
    span = spans(followed, SpanKind.CLIENT)["shop/nothing"]
    assert (span.attributes or {}).items() >= {
        "error.type": "-32601",
        "rpc.response.status_code": "-32601",
    }.items()


def _unknown() -> Any:
    from mcp_types import Request, RequestParams

    return Request[RequestParams, str](method="shop/nothing", params=RequestParams())


def _anything() -> Any:
    from mcp_types import EmptyResult

    return EmptyResult


def test_a_call_that_is_cancelled_ends_its_span(followed: Followed) -> None:
    async def run() -> None:
        began = asyncio.Event()
        async with Client(shop(began), mode="legacy") as client:
            task = asyncio.create_task(client.call_tool("wait", {}))
            await began.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    span = spans(followed, SpanKind.CLIENT)["tools/call wait"]
    assert (span.attributes or {})["error.type"] == "CancelledError"


def test_sessions_are_timed(followed: Followed) -> None:
    async def do(client: Client) -> None:
        await client.list_tools()

    within("legacy", do)
    assert [
        point.count for point in followed.series.points("mcp_client_session_duration_seconds").values()
    ] == [1]
    assert [
        point.count for point in followed.series.points("mcp_server_session_duration_seconds").values()
    ] == [1]


# --- what is given to tools


def test_arguments_and_results_stay_here(followed: Followed) -> None:
    async def do(client: Client) -> None:
        await client.call_tool("add", {"a": 41, "b": 1})

    within("auto", do)
    for span in followed.captured.spans():
        assert not {"gen_ai.tool.call.arguments", "gen_ai.tool.call.result"} & set(span.attributes or {})


def test_arguments_and_results_are_kept_by_consent(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")

    async def do(client: Client) -> None:
        await client.call_tool("add", {"a": 41, "b": 1})

    within("auto", do)
    for kind in (SpanKind.CLIENT, SpanKind.SERVER):
        attributes = spans(followed, kind)["tools/call add"].attributes or {}
        assert attributes["gen_ai.tool.call.arguments"] == '{"a": 41, "b": 1}'
        assert "42" in str(attributes["gen_ai.tool.call.result"])


# --- over the wire


@pytest.fixture
def http_shop() -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # who connects before the server has started waits
        port = listening.getsockname()[1]
        config = uvicorn.Config(shop().streamable_http_app(), log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("mode", MODES)
def test_over_http_both_sides_are_in_one_trace(followed: Followed, http_shop: str, mode: Any) -> None:
    async def run() -> Any:
        async with Client(streamable_http_client(http_shop), mode=mode) as client:
            return await client.call_tool("trace_id", {})

    told = asyncio.run(run()).structured_content["result"]
    client, server = (
        spans(followed, kind)["tools/call trace_id"] for kind in (SpanKind.CLIENT, SpanKind.SERVER)
    )
    assert told == format(identity(client).trace_id, "032x")
    assert server.parent is not None
    assert server.parent.span_id == identity(client).span_id
    attributes = client.attributes or {}
    assert attributes["network.transport"] == "tcp"
    assert attributes["server.address"] == "127.0.0.1"
    assert (server.attributes or {})["network.transport"] == "tcp"
    if mode == "legacy":
        assert attributes["mcp.session.id"] == (server.attributes or {})["mcp.session.id"]
    transports = {
        dict(labels).get("network_transport")
        for labels in followed.series.labels("mcp_client_session_duration_seconds")
    }
    assert transports == {"tcp"}


@pytest.mark.proof  # a process that imports the SDK
def test_over_standard_input_and_output_the_trace_goes_on(followed: Followed) -> None:
    program = Path(__file__).parents[3] / "support" / "mcp_shop.py"
    parameters = StdioServerParameters(
        command=sys.executable,
        args=[str(program)],
        env={**os.environ, "OTEL_SERVICE_NAME": "mcp-shop-on-stdio"},
    )

    async def run() -> Any:
        async with Client(stdio_client(parameters)) as client:
            return await client.call_tool("trace_id", {})

    told = asyncio.run(run()).structured_content["result"]
    client = spans(followed, SpanKind.CLIENT)["tools/call trace_id"]
    assert told == format(identity(client).trace_id, "032x")


# --- in its place


def test_a_fault_of_ours_does_not_reach_the_application(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("otel_kpi.instrumentation.llm.mcp._Operation.answered", broken)
    monkeypatch.setattr("otel_kpi.instrumentation.llm.mcp._Operation.attributes", broken)

    async def do(client: Client) -> Any:
        return await client.call_tool("add", {"a": 1, "b": 2})

    assert within("legacy", do).structured_content == {"result": 3}
    assert followed.captured.spans()
    assert Boundary("mcp").errors > 0
    Boundary("mcp").reset()


def test_nothing_is_left_when_it_is_taken_back(followed: Followed) -> None:
    async def do(client: Client) -> None:
        await client.list_tools()

    with disarmed():
        within("legacy", do)
    names = {span.name for span in followed.captured.spans(SpanKind.CLIENT)}
    assert "MCP send tools/list" in names
    assert followed.series.points(OPERATIONS.format("client")) == {}
