"""CPU of one call of OpenAI's SDK: bare, with the official instrumentor, with ours, OpenLLMetry's and OpenInference's.

The provider is a transport that answers in the same process, so what differs is what watches the call. All have the
same version of the SDK, a tracer provider whose batches go nowhere and a meter provider; each measurement is a process of
its own, in turns. The figures: at most 60 µs a call over the official instrumentor alone, nothing of ours imported at the
start, at most 0.15 s more for the first call.

Run: python -m benchmarks.llm [--json] [--runs N] [--profile]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.environments import ROOT, Tool, environment

if TYPE_CHECKING:
    from pathlib import Path

LIBRARIES = ("openai==2.54.*", "httpx>=0.28,<1", "opentelemetry-sdk==1.45.1")
CALLS = 1000
CASES = ("chat", "stream of 20 parts", "embeddings")
ONCE = ("put in place, seconds", "first call, seconds")

_SETUP = """
import json, sys, time
import httpx, openai
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
class Nowhere(SpanExporter):
    def export(self, spans): return SpanExportResult.SUCCESS
tracers = TracerProvider()
tracers.add_span_processor(BatchSpanProcessor(Nowhere()))
trace.set_tracer_provider(tracers)
metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
USAGE = {"prompt_tokens": 1200, "completion_tokens": 90, "total_tokens": 1290,
         "prompt_tokens_details": {"cached_tokens": 1024}, "completion_tokens_details": {"reasoning_tokens": 32}}
TOP = {"id": "c", "created": 1, "model": "gpt-4o-mini-2024-07-18", "system_fingerprint": "fp", "service_tier": "default"}
CHAT = {**TOP, "object": "chat.completion", "usage": USAGE, "choices": [
    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello there, friend."}}]}
def part(text, finish=None):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {**TOP, "object": "chat.completion.chunk", "choices": [choice]}
PARTS = [part("word ") for _ in range(18)] + [part("", "stop")]
PARTS.append({**TOP, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
STREAM = "".join(f"data: {json.dumps(each)}\\n\\n" for each in PARTS) + "data: [DONE]\\n\\n"
EMBEDDINGS = {"object": "list", "model": "text-embedding-3-small", "usage": {"prompt_tokens": 9, "total_tokens": 9},
              "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}]}
ANSWERS = {name: json.dumps(body).encode() for name, body in (("chat", CHAT), ("embeddings", EMBEDDINGS))}
LIMITS = {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499",
          "x-ratelimit-reset-requests": "120ms", "x-ratelimit-limit-tokens": "200000",
          "x-ratelimit-remaining-tokens": "199000", "x-ratelimit-reset-tokens": "300ms"}
def answer(request):
    if request.url.path.endswith("embeddings"):
        return httpx.Response(200, headers={**LIMITS, "content-type": "application/json"}, content=ANSWERS["embeddings"])
    if b'"stream":true' in request.content.replace(b" ", b""):
        return httpx.Response(200, headers={**LIMITS, "content-type": "text/event-stream"}, content=STREAM.encode())
    return httpx.Response(200, headers={**LIMITS, "content-type": "application/json"}, content=ANSWERS["chat"])
"""

_MEASURE = """
client = openai.OpenAI(api_key="none", max_retries=0, http_client=httpx.Client(transport=httpx.MockTransport(answer)))
HI = [{"role": "system", "content": "You are kind."}, {"role": "user", "content": "hi"}]
def chat():
    client.chat.completions.create(model="gpt-4o-mini", messages=HI, temperature=0.2)
def stream():
    for _ in client.chat.completions.create(
        model="gpt-4o-mini", messages=HI, stream=True, stream_options={"include_usage": True}):
        pass
def embeddings():
    client.embeddings.create(model="text-embedding-3-small", input="hi")
started = time.process_time()
chat()
figures["first call, seconds"] = time.process_time() - started
for name, call in zip(CASES, (chat, stream, embeddings)):
    for _ in range(30):
        call()
    took = []
    for _ in range(CALLS):
        started = time.thread_time()
        call()
        took.append((time.thread_time() - started) * 1e6)
    figures[name] = sorted(took)[CALLS // 20]  # others are at work on the machine
"""

_PROFILE = """
import cProfile, pstats
for name, call in zip(CASES, (chat, stream)):
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(CALLS):
        call()
    profile.disable()
    print(f"--- {name}: {CALLS} calls")
    pstats.Stats(profile).sort_stats("cumulative").print_stats("otel_kpi|util.genai|genai.openai", 60)
"""

_OFFICIAL = """
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
OpenAIInstrumentor().instrument()
"""

# The layer alone: the same providers, no instrumentor but that of the SDK, histograms folded as the distribution does it.
_OURS = """
import os
from otel_kpi import _compat, config, instrumentation, process, record
from otel_kpi.sdk.cardinality import Budget, CardinalityGuard
os.environ.update(process._read_by_packs(config.Settings()))  # as every configured process has them
_compat.before_collection(metrics.get_meter_provider(), record.fold)
record.use(sums=_compat.HistogramSums(metrics.get_meter_provider(), CardinalityGuard(Budget()).admit))
instrumentation.install(disabled=frozenset(row.name for row in instrumentation.TABLE if row.name != "openai"))
[row] = [each for each in instrumentation.report() if each.name == "openai"]
assert row.state == "loaded", row
"""

_ATTRIBUTED = """
from otel_kpi import llm
inside = llm.context(tenant="acme", feature="letters", user="7")
inside.__enter__()
"""

_OPENLLMETRY = """
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
OpenAIInstrumentor().instrument()
"""

_OPENINFERENCE = """
from openinference.instrumentation.openai import OpenAIInstrumentor
OpenAIInstrumentor().instrument()
"""


@dataclass(frozen=True)
class Program:
    """Who watches the calls.

    Attributes:
        name: As it is printed.
        tool: The environment.
        text: What puts it in place.
    """

    name: str
    tool: Tool
    text: str = ""


_KPI = Tool("otel-kpi-llm", (f"otel-kpi[llm] @ {ROOT.as_uri()}",))
_LLMETRY = Tool("openllmetry", ("opentelemetry-instrumentation-openai>=0.62,<1",))
_INFERENCE = Tool("openinference", ("openinference-instrumentation-openai>=0.1.60,<1",))

OFFICIAL, OURS, TENANT = "official", "otel-kpi", "otel-kpi, with a tenant"
PROGRAMS = (
    Program("bare", _KPI),
    Program(OFFICIAL, _KPI, _OFFICIAL),
    Program(OURS, _KPI, _OURS),
    Program(TENANT, _KPI, _OURS + _ATTRIBUTED),
    Program("OpenLLMetry", _LLMETRY, _OPENLLMETRY),
    Program("OpenInference", _INFERENCE, _OPENINFERENCE),
)


def _run(binaries: Path, *command: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "TRACELOOP_"))}
    ended = subprocess.run(
        [str(binaries / command[0]), *command[1:]], env=kept, check=False, capture_output=True, text=True
    )
    if ended.returncode != 0:
        raise RuntimeError(ended.stderr[-2000:])
    return ended.stdout


def _text(program: Program, end: str) -> str:
    head = f"CALLS, CASES = {CALLS}, {CASES!r}\n"
    begun = "figures = {}\nstarted = time.process_time()\n"
    ended = 'figures["put in place, seconds"] = time.process_time() - started\n'
    return head + _SETUP + begun + program.text + ended + _MEASURE + end


def imported_at_the_start(binaries: Path) -> list[str]:
    """Modules for language models that a process has which only starts."""
    text = (
        "import sys; print(sorted(n for n in sys.modules if n.startswith("
        "('otel_kpi.packs.llm', 'otel_kpi.instrumentation.llm', 'opentelemetry.util.genai', 'openai'))))"
    )
    return json.loads(
        _run(binaries, "opentelemetry-instrument", str(binaries / "python"), "-c", text).replace("'", '"')
    )


def measure(environments: dict[str, Path], runs: int) -> dict[str, dict[str, float]]:
    """The best of each program's figures over its turns: µs of CPU for a call, seconds of what happens once."""
    found: dict[str, list[dict[str, float]]] = {program.name: [] for program in PROGRAMS}
    for _ in range(runs):
        for program in PROGRAMS:
            printed = _run(
                environments[program.tool.name],
                "python",
                "-c",
                _text(program, "\nprint(json.dumps(figures))"),
            )
            found[program.name].append(json.loads(printed.splitlines()[-1]))
    return {
        name: {key: min(turn[key] for turn in turns) for key in turns[0]} for name, turns in found.items()
    }


def main(arguments: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--profile", action="store_true", help="where the time of ours goes, and nothing else"
    )
    args = parser.parse_args(arguments)
    if args.profile:
        program = next(each for each in PROGRAMS if each.name.endswith("tenant"))
        print(_run(environment(program.tool, LIBRARIES), "python", "-c", _text(program, _PROFILE)))
        return
    environments = {
        program.tool.name: environment(program.tool, LIBRARIES)
        for program in {each.tool.name: each for each in PROGRAMS}.values()
    }
    figures = measure(environments, args.runs)
    started = imported_at_the_start(environments[_KPI.name])
    if args.json:
        print(json.dumps(figures | {"imported at the start": started}, indent=2))
        return
    print(f"µs of CPU for a call (over bare): best of {args.runs} turns; {LIBRARIES[0]}")
    print(
        f"  {'':<24}" + "".join(f"{case:>22}" for case in CASES) + f"{'put in place':>14}{'first call':>12}"
    )
    for name, values in figures.items():
        over = {case: values[case] - figures["bare"][case] for case in CASES}
        cells = "".join(f"{values[case]:>12.0f} (+{over[case]:>5.0f})  " for case in CASES)
        once = "".join(f"{values[key]:>10.3f} s" for key in ONCE)
        print(f"  {name:<24}{cells}{once}")
    print("\nover the official instrumentor alone")
    for name in (OURS, TENANT):
        added = {case: figures[name][case] - figures[OFFICIAL][case] for case in CASES}
        print(f"  {name:<24}" + "".join(f"{added[case]:>+16.0f} µs   " for case in CASES))
    for name in ("OpenLLMetry", "OpenInference"):
        ratios = {
            case: (figures[name][case] - figures["bare"][case])
            / max(figures[OURS][case] - figures["bare"][case], 1e-9)
            for case in CASES
        }
        print(f"  {name} to ours, over bare: " + ", ".join(f"{case} {ratios[case]:.2f}" for case in CASES))
    first = [figures[OURS][key] - figures[OFFICIAL][key] for key in ONCE]
    print(
        f"  instrumentor {first[0]:+.3f} s, first call {first[1]:+.3f} s; imported at the start: {started or 'nothing'}"
    )


if __name__ == "__main__":
    sys.exit(main())
