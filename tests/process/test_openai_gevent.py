"""Calls of language models in greenlets: each with its own tenant, streams that are killed included, nothing twice."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("gevent")

from support.children import RUN, environment, run
from support.llm import Answer, ScriptedProvider
from support.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from openai import OpenAI
from otel_kpi import llm

client = OpenAI(api_key="none", base_url=sys.argv[1], max_retries=0)
ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}

def whole(number):
    with llm.context(tenant=f"t{number % 5}"):
        client.chat.completions.create(**ask)

def streamed(number):
    with llm.context(tenant=f"t{number % 5}"):
        for _ in client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **ask):
            gevent.sleep(0)

def left(number, reached):
    with llm.context(tenant="left"):
        for part, _ in enumerate(client.chat.completions.create(stream=True, **ask)):
            if part == 1:
                reached.set()
                gevent.sleep(60)

work = [gevent.spawn(each, number) for number in range(20) for each in (whole, streamed)]
killed = []
for number in range(5):
    reached = gevent.event.Event()
    greenlet = gevent.spawn(left, number, reached)
    killed.append(greenlet)
    reached.wait(20)
gevent.killall(killed)
gevent.joinall(work, timeout=40, raise_error=True)
print(sum(each.successful() for each in work))
"""


@pytest.mark.proof
def test_every_greenlet_is_billed_for_its_own_calls(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    with Receiver() as receiver, ScriptedProvider() as provider:
        provider.next(*[Answer(usage=usage)] * 45)
        ended = run(
            # gevent itself warns of ssl, which the distribution's own exporter has imported.
            [*RUN, sys.executable, "-W", "ignore", str(path), f"{provider.url}/v1"],
            environment(
                receiver.url,
                OTEL_SERVICE_NAME="openai-greenlets",
                OTEL_KPI_GENAI_PROVIDERS=f"127.0.0.1:{provider.port}=openai",
            ),
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "40\n", "")
        spans = receiver.named("chat gpt-4o-mini")
    tenants = Counter(str(span.attributes["kpi.tenant"]) for span in spans)
    assert tenants == {**{f"t{number}": 8 for number in range(5)}, "left": 5}
    billed = [span for span in spans if span.attributes["kpi.tenant"] != "left"]
    assert {span.attributes["gen_ai.usage.input_tokens"] for span in billed} == {100}
    assert {
        span.attributes.get("kpi.llm.ended") for span in spans if span.attributes["kpi.tenant"] == "left"
    } == {"left"}
