"""A server of the Model Context Protocol with a few tools; as a program it speaks over standard input and output."""

from __future__ import annotations

import asyncio
import os

from mcp.server.mcpserver import MCPServer
from opentelemetry import trace


def shop(began: asyncio.Event | None = None) -> MCPServer:
    """A server that adds, fails, waits for ever, and tells in which trace it works.

    Args:
        began: Set by a tool that waits.
    """
    server = MCPServer("shop")

    def add(a: int, b: int) -> int:
        with trace.get_tracer("shop").start_as_current_span("reckon"):
            return a + b

    def fail() -> int:
        raise ValueError("no such shoe")

    def trace_id() -> str:
        return format(trace.get_current_span().get_span_context().trace_id, "032x")

    async def wait() -> None:
        if began is not None:
            began.set()
        await asyncio.Event().wait()

    def stock() -> str:
        return "12 shoes"

    def greeting(name: str) -> str:
        return f"Greet {name}"

    for tool in (add, fail, trace_id, wait):
        server.tool()(tool)
    server.resource("shop://stock")(stock)
    server.prompt()(greeting)
    return server


if __name__ == "__main__":
    # A provider of the server's own: without one it has no spans and no trace.
    from opentelemetry.sdk.trace import TracerProvider

    assert os.environ.get("OTEL_SERVICE_NAME")
    trace.set_tracer_provider(TracerProvider())
    shop().run("stdio")
