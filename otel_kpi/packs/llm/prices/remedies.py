"""What a person can do about a call without a price."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

REMEDIES: Final = MappingProxyType(
    {
        "unknown_provider": "the address is nobody's in the table: name it in the price file, or in OTEL_KPI_GENAI_PROVIDERS",
        "unknown_model": "the table has no such model: give its rates, or `as:` what it is like, in the price file",
        "unknown_tier": "the table has no rates of this tier: give them with `tier:` in the price file",
        "unknown_processing": "the table has no rates of batches: give them with `processing: batch` in the price file",
        "no_rate": "the table has the model and no rate for what was used: give it in the price file",
        "no_usage": "the provider reported no usage; for streams see OTEL_KPI_GENAI_STREAM_USAGE",
        "no_model": "neither the call nor the answer names a model",
        "inconsistent_usage": "the provider's report contradicts itself: kpi_llm_usage_faults_total says how",
        "incomplete_usage": "parts were reported without their whole",
        "failed": "a fault of otel-kpi: the log of the application has it once",
        "no_table": "the table of prices could not be read when the call ended: see the log of the application",
    }
)
"""What a person can do, by the reason for which a call has no price."""
