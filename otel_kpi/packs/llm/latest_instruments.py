"""What is declared of the latest generation of names, recorded where `OTEL_KPI_GENAI_NAMES` asks for it."""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Counter, Histogram
from otel_kpi.packs.llm import names
from otel_kpi.packs.llm.call_attributes import (
    CALL,
    ERROR_TYPE,
    FROM_LATEST,
    MODALITY,
    SECONDS,
    SERIES,
    TOKENS_OF_A_CALL,
)

LATEST_DURATION: Final = Histogram(
    name=names.LATEST.call_duration,
    unit="s",
    brief="Time of an inference.",
    attributes=(*CALL, ERROR_TYPE),
    buckets=SECONDS,
    source=FROM_LATEST,
    series=SERIES,
)
LATEST_FIRST_CHUNK: Final = Histogram(
    name=names.LATEST.time_to_first_chunk,
    unit="s",
    brief="Time until the first part of a streamed answer.",
    attributes=CALL,
    buckets=SECONDS,
    source=FROM_LATEST,
    series=SERIES,
)
LATEST_PER_CHUNK: Final = Histogram(
    name=names.LATEST.time_per_output_chunk,
    unit="s",
    brief="Time between two parts of a streamed answer.",
    attributes=CALL,
    buckets=SECONDS,
    source=FROM_LATEST,
    series=SERIES,
)
LATEST_INPUT: Final = Counter(
    name=str(names.LATEST.input_tokens),
    unit="{token}",
    brief="Tokens that were sent, cached ones too.",
    attributes=(*CALL, MODALITY),
    source=FROM_LATEST,
    series=SERIES,
)
LATEST_OUTPUT: Final = Counter(
    name=str(names.LATEST.output_tokens),
    unit="{token}",
    brief="Tokens that were made, those of reasoning too.",
    attributes=(*CALL, MODALITY),
    source=FROM_LATEST,
    series=SERIES,
)
LATEST_CACHE_READ: Final = Counter(
    name=str(names.LATEST.cache_read),
    unit="{token}",
    brief="Tokens of the input that came out of a cache.",
    attributes=(*CALL, MODALITY),
    source=FROM_LATEST,
    series=SERIES,
)
LATEST_CACHE_WRITE: Final = Counter(
    name=str(names.LATEST.cache_write),
    unit="{token}",
    brief="Tokens of the input that were put into a cache.",
    attributes=(*CALL, MODALITY),
    source=FROM_LATEST,
    series=SERIES,
)
LATEST_REASONING: Final = Counter(
    name=str(names.LATEST.reasoning),
    unit="{token}",
    brief="Tokens of the output that were reasoning.",
    attributes=(*CALL, MODALITY),
    source=FROM_LATEST,
    series=SERIES,
)
LATEST_INPUT_DISTRIBUTION: Final = Histogram(
    name=str(names.LATEST.input_distribution),
    unit="{token}",
    brief="Tokens that a call sent.",
    attributes=CALL,
    buckets=TOKENS_OF_A_CALL,
    source=FROM_LATEST,
    series=SERIES,
)
LATEST_OUTPUT_DISTRIBUTION: Final = Histogram(
    name=str(names.LATEST.output_distribution),
    unit="{token}",
    brief="Tokens that a call made.",
    attributes=CALL,
    buckets=TOKENS_OF_A_CALL,
    source=FROM_LATEST,
    series=SERIES,
)

INSTRUMENTS: Final = (
    LATEST_DURATION,
    LATEST_FIRST_CHUNK,
    LATEST_PER_CHUNK,
    LATEST_INPUT,
    LATEST_OUTPUT,
    LATEST_CACHE_READ,
    LATEST_CACHE_WRITE,
    LATEST_REASONING,
    LATEST_INPUT_DISTRIBUTION,
    LATEST_OUTPUT_DISTRIBUTION,
)
