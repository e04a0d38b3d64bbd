"""Prices worked out by hand from the rates in the data of genai-prices 0.2.3 (table of 2026-11-09).

Each case names the address that the data give as the source of the rates, and the day from which the data say that
they hold, where they say one. These addresses were not opened here: what is proved is our arithmetic on the data, not
that the data are what a provider bills. `working` is the sum, line by line: quantity × rate / M (a million), k (a
thousand) or h (3600 seconds); `total` was worked out from it once and is written down.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from otel_kpi.packs.llm import prices
from otel_kpi.packs.llm.prices.exchange import seconds_of
from otel_kpi.packs.llm.prices.resolution import Kind
from otel_kpi.packs.llm.usage import Usage

PER = {"M": 1_000_000, "k": 1_000, "h": 3_600}
NOT_TOKENS = ("web_searches", "storage_searches", "input_characters", "_seconds", "_pages")


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    provider: str
    model: str
    usage: str
    working: str
    total: str
    source: str
    dated: str | None = None
    tier: str | None = None
    processing: str | None = None
    at: str = "2026-11-21T12:00"

    @property
    def counts(self) -> dict[str, int]:
        pairs = (part.split("=") for part in self.usage.split(","))
        return {name if name.endswith(NOT_TOKENS) else f"{name}_tokens": int(count) for name, count in pairs}

    @property
    def lines(self) -> list[tuple[Decimal, Decimal, int]]:
        found: list[tuple[Decimal, Decimal, int]] = []
        for part in self.working.split(" + "):
            product, _, per = part.partition("/")
            quantity, _, rate = product.partition("*")
            found.append((Decimal(quantity), Decimal(rate), PER[per]))
        return found


CASES = (
    Case(
        name="plain input and output",
        provider="openai",
        model="gpt-4o",
        usage="input=1200,output=300",
        working="1200*2.5/M + 300*10/M",
        total="0.006",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="cached input is billed once",
        provider="openai",
        model="gpt-4o",
        usage="input=1200,cache_read=1000,output=300",
        working="200*2.5/M + 1000*1.25/M + 300*10/M",
        total="0.00475",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="all input from the cache",
        provider="openai",
        model="gpt-4o",
        usage="input=1000,cache_read=1000,output=1",
        working="1000*1.25/M + 1*10/M",
        total="0.00126",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="reasoning is part of the output",
        provider="openai",
        model="gpt-5",
        usage="input=100,output=900,output_reasoning=800",
        working="100*1.25/M + 900*10/M",
        total="0.009125",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="tier default is the standard",
        provider="openai",
        model="gpt-5",
        usage="input=1000,output=1000",
        tier="default",
        working="1000*1.25/M + 1000*10/M",
        total="0.01125",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="flex halves all three",
        provider="openai",
        model="gpt-5",
        usage="input=3000,cache_read=1000,output=500",
        tier="flex",
        working="2000*0.625/M + 1000*0.0625/M + 500*5/M",
        total="0.0038125",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2026-10-12",
    ),
    Case(
        name="priority doubles all three",
        provider="openai",
        model="gpt-5.1",
        usage="input=3000,cache_read=1000,output=500",
        tier="priority",
        working="2000*2.5/M + 1000*0.25/M + 500*20/M",
        total="0.01525",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2026-10-12",
    ),
    Case(
        name="fast is the newer word for priority",
        provider="openai",
        model="gpt-4o-mini",
        usage="input=4000,cache_read=2000,output=100",
        tier="fast",
        working="2000*0.25/M + 2000*0.125/M + 100*1/M",
        total="0.00085",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2026-10-12",
    ),
    Case(
        name="batch of a reasoning model",
        provider="openai",
        model="o3",
        usage="input=1000,output=1000",
        processing="batch",
        working="1000*1/M + 1000*4/M",
        total="0.005",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2026-10-14",
    ),
    Case(
        name="a batch whose cached input keeps the standard rate",
        provider="openai",
        model="gpt-4o",
        usage="input=2000,cache_read=500,output=100",
        processing="batch",
        working="1500*1.25/M + 500*1.25/M + 100*5/M",
        total="0.003",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2026-10-14",
    ),
    Case(
        name="a batch reported with tier default",
        provider="openai",
        model="gpt-4.1",
        usage="input=2000,output=100",
        tier="default",
        processing="batch",
        working="2000*1/M + 100*4/M",
        total="0.0024",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2026-10-14",
    ),
    Case(
        name="o3 before its price was cut",
        provider="openai",
        model="o3",
        usage="input=1000,output=1000",
        at="2025-06-09T23:59",
        working="1000*10/M + 1000*40/M",
        total="0.05",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2025-06-10",
    ),
    Case(
        name="o3 on the day of the cut",
        provider="openai",
        model="o3",
        usage="input=1000,output=1000",
        at="2025-06-10T00:00",
        working="1000*2/M + 1000*8/M",
        total="0.01",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2025-06-10",
    ),
    Case(
        name="cache writes before the cut of August",
        provider="openai",
        model="gpt-5.6-sol",
        usage="input=10000,cache_write=4000,cache_read=2000,output=100",
        at="2026-08-20T23:59",
        working="4000*5/M + 4000*6.25/M + 2000*0.5/M + 100*30/M",
        total="0.049",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2026-08-21",
    ),
    Case(
        name="cache writes after it",
        provider="openai",
        model="gpt-5.6-sol",
        usage="input=10000,cache_write=4000,cache_read=2000,output=100",
        working="4000*4/M + 4000*5/M + 2000*0.4/M + 100*20/M",
        total="0.0388",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2026-08-21",
    ),
    Case(
        name="a long prompt, all of it at the higher rate",
        provider="openai",
        model="gpt-5.6-sol",
        usage="input=272001,output=100",
        working="272001*8/M + 100*30/M",
        total="2.179008",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2026-08-21",
    ),
    Case(
        name="a prompt of just the threshold",
        provider="openai",
        model="gpt-5.6-sol",
        usage="input=272000,output=100",
        working="272000*4/M + 100*20/M",
        total="1.09",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2026-08-21",
    ),
    Case(
        name="a long prompt, flex",
        provider="openai",
        model="gpt-6.1-terra",
        usage="input=300000,cache_read=200000,output=1000",
        tier="flex",
        working="100000*1/M + 200000*0.05/M + 1000*3.75/M",
        total="0.11375",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="audio in and out",
        provider="openai",
        model="gpt-realtime",
        usage="input=1000,input_audio=800,output=500,output_audio=400",
        working="200*4/M + 800*32/M + 100*16/M + 400*64/M",
        total="0.0536",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="cached audio is neither audio nor cached text",
        provider="openai",
        model="gpt-realtime",
        usage="input=1000,input_audio=800,cache_read=300,cache_audio_read=200,output=10",
        working="100*4/M + 600*32/M + 100*0.4/M + 200*0.4/M + 10*16/M",
        total="0.01988",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="an image as input",
        provider="openai",
        model="gpt-image-1",
        usage="input=1200,input_image=1000,output=4000",
        working="200*5/M + 1000*10/M + 4000*40/M",
        total="0.171",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="an image in a batch",
        provider="openai",
        model="gpt-image-1",
        usage="input=1200,input_image=1000,output=4000",
        processing="batch",
        working="200*2.5/M + 1000*5/M + 4000*20/M",
        total="0.0855",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2026-10-14",
    ),
    Case(
        name="embeddings",
        provider="openai",
        model="text-embedding-3-small",
        usage="input=8191",
        working="8191*0.02/M",
        total="0.00016382",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="a fine-tuned model",
        provider="openai",
        model="ft:gpt-4o-mini-2024-07-18:acme::x1",
        usage="input=1000,output=200",
        working="1000*0.3/M + 200*1.2/M",
        total="0.00054",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="a fine-tuned model in a batch",
        provider="openai",
        model="ft:gpt-4o-mini-2024-07-18:acme::x1",
        usage="input=1000,output=200",
        processing="batch",
        working="1000*0.15/M + 200*0.6/M",
        total="0.00027",
        source="https://developers.openai.com/api/docs/pricing",
        dated="2026-10-14",
    ),
    Case(
        name="searches of the web and of a store",
        provider="openai",
        model="gpt-4.1",
        usage="input=100,output=100,web_searches=3,storage_searches=2",
        working="100*2/M + 100*8/M + 3*10/k + 2*2.5/k",
        total="0.036",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="characters",
        provider="openai",
        model="tts-1",
        usage="input_characters=1500",
        working="1500*15/M",
        total="0.0225",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="speech to text by tokens",
        provider="openai",
        model="gpt-4o-transcribe",
        usage="input=1000,input_audio=900,output=50",
        working="100*2.5/M + 900*6/M + 50*10/M",
        total="0.00615",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="speech to text by time",
        provider="openai",
        model="whisper-1",
        usage="audio_seconds=90,input_audio_seconds=90",
        working="90*0.36/h",
        total="0.009",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="five minutes in the cache",
        provider="anthropic",
        model="claude-opus-4-1",
        usage="input=5000,cache_write=4000,cache_write_5m=4000,output=100",
        working="1000*15/M + 4000*18.75/M + 100*75/M",
        total="0.0975",
        source="https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing",
    ),
    Case(
        name="an hour in the cache",
        provider="anthropic",
        model="claude-opus-4-1",
        usage="input=5000,cache_write=4000,cache_write_1h=4000,output=100",
        working="1000*15/M + 4000*30/M + 100*75/M",
        total="0.1425",
        source="https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing",
    ),
    Case(
        name="both beside what was read",
        provider="anthropic",
        model="claude-opus-4-8",
        usage="input=10000,cache_read=5000,cache_write=3000,cache_write_5m=2000,cache_write_1h=1000,output=200",
        working="2000*5/M + 5000*0.5/M + 2000*6.25/M + 1000*10/M + 200*25/M",
        total="0.04",
        source="https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing",
    ),
    Case(
        name="fast mode",
        provider="anthropic",
        model="claude-opus-4-8",
        usage="input=10000,cache_read=5000,output=200",
        tier="fast",
        working="5000*10/M + 5000*1/M + 200*50/M",
        total="0.065",
        source="https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing",
    ),
    Case(
        name="a batch with a cache",
        provider="anthropic",
        model="claude-opus-4-8",
        usage="input=10000,cache_read=5000,output=200",
        processing="batch",
        working="5000*2.5/M + 5000*0.25/M + 200*12.5/M",
        total="0.01625",
        source="https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing",
        dated="2026-10-14",
    ),
    Case(
        name="a batch, as Anthropic reports the tier",
        provider="anthropic",
        model="claude-opus-4-8",
        usage="input=1000,output=200",
        tier="batch",
        working="1000*2.5/M + 200*12.5/M",
        total="0.005",
        source="https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing",
        dated="2026-10-14",
    ),
    Case(
        name="a long prompt",
        provider="anthropic",
        model="claude-sonnet-4-5",
        usage="input=250000,cache_read=100000,output=1000",
        working="150000*6/M + 100000*0.6/M + 1000*22.5/M",
        total="0.9825",
        source="https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing",
    ),
    Case(
        name="a long prompt in a batch",
        provider="anthropic",
        model="claude-sonnet-4-5",
        usage="input=200001,output=1000",
        processing="batch",
        working="200001*3/M + 1000*11.25/M",
        total="0.611253",
        source="https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing",
        dated="2026-10-14",
    ),
    Case(
        name="a long prompt while that cost more",
        provider="anthropic",
        model="claude-sonnet-4-6",
        usage="input=250000,output=1000",
        at="2026-03-12T12:00",
        working="250000*6/M + 1000*22.5/M",
        total="1.5225",
        source="https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing",
        dated="2026-03-13",
    ),
    Case(
        name="a long prompt since it does not",
        provider="anthropic",
        model="claude-sonnet-4-6",
        usage="input=250000,output=1000",
        at="2026-03-13T00:00",
        working="250000*3/M + 1000*15/M",
        total="0.765",
        source="https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing",
        dated="2026-03-13",
    ),
    Case(
        name="the smallest, a prompt of 100,001",
        provider="anthropic",
        model="claude-haiku-5-5",
        usage="input=100001,output=10",
        working="100001*0.5/M + 10*2.5/M",
        total="0.0500255",
        source="https://platform.claude.com/docs/en/about-claude/pricing#long-context-pricing",
    ),
    Case(
        name="web searches",
        provider="anthropic",
        model="claude-opus-4-1",
        usage="input=1000,output=100,web_searches=2",
        working="1000*15/M + 100*75/M + 2*10/k",
        total="0.0425",
        source="https://www.anthropic.com/pricing#api",
    ),
    Case(
        name="a long prompt, Gemini",
        provider="google",
        model="gemini-2.5-pro",
        usage="input=200001,output=1000",
        working="200001*2.5/M + 1000*15/M",
        total="0.5150025",
        source="https://ai.google.dev/gemini-api/docs/pricing",
    ),
    Case(
        name="a short prompt, Gemini, with thoughts",
        provider="google",
        model="gemini-2.5-pro",
        usage="input=1000,output=3000,output_reasoning=2500",
        working="1000*1.25/M + 3000*10/M",
        total="0.03125",
        source="https://ai.google.dev/gemini-api/docs/pricing",
    ),
    Case(
        name="grounding by search",
        provider="google",
        model="gemini-2.5-pro",
        usage="input=1000,output=100,web_searches=2",
        working="1000*1.25/M + 100*10/M + 2*35/k",
        total="0.07225",
        source="https://ai.google.dev/gemini-api/docs/pricing",
    ),
    Case(
        name="audio as input",
        provider="google",
        model="gemini-2.5-flash",
        usage="input=5000,input_audio=4000,output=100",
        working="1000*0.3/M + 4000*1/M + 100*2.5/M",
        total="0.00455",
        source="https://ai.google.dev/gemini-api/docs/pricing",
    ),
    Case(
        name="audio as input in a batch",
        provider="google",
        model="gemini-2.5-flash",
        usage="input=5000,input_audio=4000,output=100",
        processing="batch",
        working="1000*0.15/M + 4000*0.5/M + 100*1.25/M",
        total="0.002275",
        source="https://ai.google.dev/gemini-api/docs/pricing",
        dated="2026-10-14",
    ),
    Case(
        name="an image as output",
        provider="google",
        model="gemini-2.5-flash-image",
        usage="input=100,output=1300,output_image=1290",
        working="100*0.3/M + 10*2.5/M + 1290*30/M",
        total="0.038755",
        source="https://ai.google.dev/gemini-api/docs/pricing",
    ),
    Case(
        name="Claude on Vertex AI",
        provider="google",
        model="claude-sonnet-4-5@20250929",
        usage="input=250000,output=1000",
        working="250000*6/M + 1000*22.5/M",
        total="1.5225",
        source="https://cloud.google.com/vertex-ai/generative-ai/pricing",
    ),
    Case(
        name="Claude on Bedrock in a region",
        provider="aws",
        model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        usage="input=2000,cache_read=1000,output=100",
        working="1000*3.3/M + 1000*0.33/M + 100*16.5/M",
        total="0.00528",
        source="https://aws.amazon.com/bedrock/pricing/",
    ),
    Case(
        name="Nova",
        provider="aws",
        model="amazon.nova-pro-v1:0",
        usage="input=2000,cache_read=1000,output=100",
        working="1000*0.8/M + 1000*0.2/M + 100*3.2/M",
        total="0.00132",
        source="https://aws.amazon.com/bedrock/pricing/",
    ),
    Case(
        name="speech to speech",
        provider="aws",
        model="amazon.nova-sonic-v1:0",
        usage="input=1000,input_audio=900,output=500,output_audio=450",
        working="100*0.06/M + 900*3.4/M + 50*0.24/M + 450*13.6/M",
        total="0.009198",
        source="https://aws.amazon.com/bedrock/pricing/",
    ),
    Case(
        name="a model that Azure lists",
        provider="azure",
        model="o4-mini",
        usage="input=2000,cache_read=1000,output=100",
        working="1000*1.1/M + 1000*0.275/M + 100*4.4/M",
        total="0.001815",
        source="https://azure.microsoft.com/en-us/pricing/details/cognitive-services/openai-service/#pricing",
    ),
    Case(
        name="a model of OpenAI that Azure serves",
        provider="azure",
        model="gpt-4o",
        usage="input=2000,cache_read=1000,output=100",
        tier="default",
        working="1000*2.5/M + 1000*1.25/M + 100*10/M",
        total="0.00475",
        source="https://developers.openai.com/api/docs/pricing",
    ),
    Case(
        name="pages of a document, before June",
        provider="mistral",
        model="mistral-ocr-latest",
        usage="input_document_pages=10",
        at="2026-06-22T12:00",
        working="10*2/k",
        total="0.02",
        source="https://mistral.ai/pricing/api",
        dated="2025-12-18",
    ),
    Case(
        name="pages of a document, some with annotations, in a batch",
        provider="mistral",
        model="mistral-ocr-latest",
        usage="input_document_pages=10,input_annotated_document_pages=4",
        processing="batch",
        working="6*2/k + 4*2.5/k",
        total="0.022",
        source="https://mistral.ai/pricing/api",
        dated="2026-10-14",
    ),
    Case(
        name="three seconds of speech are billed as ten",
        provider="groq",
        model="whisper-large-v3-turbo",
        usage="audio_seconds=3,input_audio_seconds=3",
        working="10*0.04/h",
        total="0.0001111111111111111111111111111",
        source="https://console.groq.com/docs/models",
    ),
    Case(
        name="a prompt of just 200,000",
        provider="x-ai",
        model="grok-4.5",
        usage="input=200000,cache_read=100000,output=100",
        working="100000*4/M + 100000*0.6/M + 100*12/M",
        total="0.4612",
        source="https://docs.x.ai/docs/models",
    ),
    Case(
        name="by day",
        provider="deepseek",
        model="deepseek-chat",
        usage="input=2000,cache_read=1000,output=100",
        working="1000*0.27/M + 1000*0.07/M + 100*1.1/M",
        total="0.00045",
        source="https://api-docs.deepseek.com/quick_start/pricing",
    ),
    Case(
        name="by night",
        provider="deepseek",
        model="deepseek-chat",
        usage="input=2000,cache_read=1000,output=100",
        at="2026-11-21T16:30",
        working="1000*0.135/M + 1000*0.035/M + 100*0.55/M",
        total="0.000225",
        source="https://api-docs.deepseek.com/quick_start/pricing",
    ),
    Case(
        name="at the peak of the second shift",
        provider="deepseek",
        model="deepseek-v4-pro",
        usage="input=2000,cache_read=1000,output=100",
        at="2026-11-21T09:59",
        working="1000*1.32/M + 1000*0.044/M + 100*3.96/M",
        total="0.00176",
        source="https://api-docs.deepseek.com/quick_start/pricing",
    ),
    Case(
        name="between the peaks",
        provider="deepseek",
        model="deepseek-v4-pro",
        usage="input=2000,cache_read=1000,output=100",
        at="2026-11-21T10:00",
        working="1000*0.66/M + 1000*0.022/M + 100*1.98/M",
        total="0.00088",
        source="https://api-docs.deepseek.com/quick_start/pricing",
        dated="2026-08-17",
    ),
    Case(
        name="each request",
        provider="perplexity",
        model="sonar-pro",
        usage="input=1000,output=100",
        working="1000*3/M + 100*15/M + 1*14/k",
        total="0.0185",
        source="https://docs.perplexity.ai/docs/getting-started/pricing",
    ),
    Case(
        name="reasoning and citations apart",
        provider="perplexity",
        model="sonar-deep-research",
        usage="input=100,output=3000,output_reasoning=2000,output_citation=500,web_searches=7",
        working="100*2/M + 500*8/M + 2000*3/M + 500*2/M + 7*5/k",
        total="0.0462",
        source="https://docs.perplexity.ai/docs/getting-started/pricing",
    ),
    Case(
        name="a variant by its own name",
        provider="perplexity",
        model="perplexity/sonar",
        usage="input=100,output=100,web_searches=2",
        tier="search_type=fast",
        working="100*0.25/M + 100*2.5/M + 2*1/k",
        total="0.002275",
        source="https://docs.perplexity.ai/docs/getting-started/pricing",
    ),
    Case(
        name="embeddings, Cohere",
        provider="cohere",
        model="embed-v4.0",
        usage="input=12345",
        working="12345*0.12/M",
        total="0.0014814",
        source="https://cohere.com/pricing",
    ),
    Case(
        name="a rate that went up and down and up",
        provider="openrouter",
        model="z-ai/glm-5",
        usage="input=2000,cache_read=1000,output=100",
        at="2026-10-20T12:00",
        working="1000*0.6/M + 1000*0.12/M + 100*1.92/M",
        total="0.000912",
        source="https://openrouter.ai/models",
        dated="2026-10-20",
    ),
)


def test_there_are_sixty_cases_and_no_two_alike() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({case.provider for case in CASES}) >= 10


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.provider}: {case.name}")
def test_a_price_is_what_it_is_by_hand(case: Case) -> None:
    at = datetime.fromisoformat(case.at).replace(tzinfo=UTC).timestamp()
    price = prices.price(
        provider=case.provider,
        endpoint=None,
        model=case.model,
        usage=Usage(case.counts),
        tier=case.tier,
        processing=case.processing,
        at=at,
    )
    assert isinstance(price, prices.Price)
    assert (price.amount, price.currency, price.source) == (Decimal(case.total), "USD", "local")
    lines = [(line.quantity, line.rate, line.per) for line in price.lines]
    assert sorted(lines) == sorted(case.lines)
    worked_out = sum(Fraction(quantity) * Fraction(rate) / per for quantity, rate, per in case.lines)
    assert abs(worked_out - Fraction(case.total)) < Fraction(1, 10**28)  # an hour is divided into thirds
    found = prices.current().explain(Kind(case.provider, None, case.model, case.tier, case.processing), at)
    assert found is not None
    assert case.source in found.sources
    if case.dated is not None:
        changes = seconds_of(date.fromisoformat(case.dated))
        assert changes == found.until or any(case.dated in step for step in found.trail)
