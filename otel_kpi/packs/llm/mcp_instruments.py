"""What is declared of the Model Context Protocol: requests to tools, resources and prompts, on either side."""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Histogram
from otel_kpi.packs.attributes import ERROR_TYPE

_MCP: Final = (
    "OpenTelemetry https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md"
)
_SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_SERIES: Final = 2_000

METHOD: Final = Attribute(
    name="mcp.method.name",
    brief="The method of the request or notification.",
    budget=40,
    examples=("tools/call", "resources/read"),
    source=_MCP,
)
TOOL: Final = Attribute(
    name="gen_ai.tool.name",
    brief="The tool that was called.",
    budget=100,
    examples=("search",),
    source=_MCP,
    required=False,
)
PROMPT: Final = Attribute(
    name="gen_ai.prompt.name",
    brief="The prompt that was asked for.",
    budget=60,
    examples=("summary",),
    source=_MCP,
    required=False,
)
STATUS: Final = Attribute(
    name="rpc.response.status_code",
    brief="The code of a failure, of JSON-RPC.",
    budget=30,
    examples=("-32602",),
    source=_MCP,
    required=False,
)
VERSION: Final = Attribute(
    name="mcp.protocol.version",
    brief="The version of the protocol that is spoken.",
    budget=10,
    examples=("2025-06-18",),
    source=_MCP,
    required=False,
)
TRANSPORT: Final = Attribute(
    name="network.transport",
    brief="What carries it: `tcp` for HTTP, `pipe` for standard input and output.",
    members=("tcp", "pipe"),
    source=_MCP,
    required=False,
)
ADDRESS: Final = Attribute(
    name="server.address",
    brief="The host that is called.",
    budget=60,
    examples=("tools.example.org",),
    source=_MCP,
    required=False,
)

_OPERATION: Final = (METHOD, TOOL, PROMPT, ERROR_TYPE, STATUS, VERSION, TRANSPORT)

CLIENT_OPERATION: Final = Histogram(
    name="mcp.client.operation.duration",
    unit="s",
    brief="Time of a request to an MCP server, until its answer.",
    attributes=(*_OPERATION, ADDRESS),
    buckets=_SECONDS,
    source=_MCP,
    series=_SERIES,
)
SERVER_OPERATION: Final = Histogram(
    name="mcp.server.operation.duration",
    unit="s",
    brief="Time in which an MCP server handles a request or a notification.",
    attributes=_OPERATION,
    buckets=_SECONDS,
    source=_MCP,
    series=_SERIES,
)
CLIENT_SESSION: Final = Histogram(
    name="mcp.client.session.duration",
    unit="s",
    brief="Time of a session with an MCP server.",
    attributes=(ERROR_TYPE, VERSION, TRANSPORT, ADDRESS),
    buckets=_SECONDS,
    source=_MCP,
)
SERVER_SESSION: Final = Histogram(
    name="mcp.server.session.duration",
    unit="s",
    brief="Time of a session of a client that shook hands.",
    attributes=(ERROR_TYPE, VERSION, TRANSPORT),
    buckets=_SECONDS,
    source=_MCP,
)

INSTRUMENTS: Final = (CLIENT_OPERATION, SERVER_OPERATION, CLIENT_SESSION, SERVER_SESSION)
