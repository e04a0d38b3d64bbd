"""Who bills a call: the provider of the table, by the address that was called, by OpenTelemetry's name, by the model.

The address wins. An address that no provider has is somebody's own (a gateway, vLLM, Ollama): whatever name the SDK
gives it, its prices are not those of the provider whose model it serves.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from otel_kpi.packs.llm.prices.clauses import matches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.packs.llm.prices.table import Model, Provider, Table

_LITELLM: Final = "litellm"

NAMES: Final = MappingProxyType(
    {
        "aws.bedrock": "aws",
        "aws_bedrock": "aws",
        "azure.ai.inference": "azure",
        "azure.ai.openai": "azure",
        "azure_ai": "azure",
        "azure_openai": "azure",
        "fireworks_ai": "fireworks",
        "gcp.gemini": "google",
        "gcp.gen_ai": "google",
        "gcp.vertex_ai": "google",
        "mistral_ai": "mistral",
        "moonshot_ai": "moonshotai",
        "voyage_ai": "voyageai",
        "x_ai": "x-ai",
        "z_ai": "zai",
        "zhipu_ai": "zhipuai",
    }
)
"""What OpenTelemetry and LiteLLM call the data's providers, where the data do not know it or take it for another: to
them `azure.ai.openai` is OpenAI."""

_ALSO: Final = (
    # Addresses that the data leave out, with the same price list.
    (re.compile(r"https://bedrock-runtime(-fips)?\.[a-z0-9-]+\.(amazonaws\.com|api\.aws)(/|$)"), "aws"),
    (re.compile(r"https://vpce-[a-z0-9-]+\.bedrock-runtime\.[a-z0-9-]+\.vpce\.amazonaws\.com(/|$)"), "aws"),
    (re.compile(r"https://([^./]+\.)+models\.ai\.azure\.com(/|$)"), "azure"),
    (re.compile(r"https://api\.together\.ai(/|$)"), "together"),
)

_PREFIXED: Final = ("models/", "publishers/", "projects/", "arn:")
_COMPACT_DAY: Final = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def address_of(endpoint: str) -> str:
    """An address with its scheme, its host in lower case, without the usual port and without a password."""
    text = endpoint.strip()
    if "://" not in text:
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return text.lower()
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port != {"https": 443, "http": 80}.get(parts.scheme):
        host = f"{host}:{port}"
    return f"{parts.scheme}://{host}{parts.path}"


def by_address(table: Table, address: str) -> Provider | None:
    """The provider that is called at an address."""
    for provider in table.providers.values():
        begins, within, pattern = provider.address
        if not address.startswith(begins) or within not in address:
            continue
        end = len(begins)
        if pattern is not None:
            if (found := re.match(pattern, address)) is None:
                continue
            end = found.end()
        # Most expressions of the data have no end: `https://api.openai.com` is in `https://api.openai.com.corp.example`.
        if end == len(address) or address[end] in "/:" or address[end - 1] in "./":
            return provider
    for pattern, known in _ALSO:
        if pattern.match(address):
            return table.providers.get(known)
    return None


def by_name(table: Table, name: str) -> Provider | None:
    """The provider of a name: OpenTelemetry's, LiteLLM's, or one that the data know."""
    lowered = name.lower().strip()
    lowered = NAMES.get(lowered, lowered)
    if (provider := table.providers.get(lowered)) is not None:
        return provider
    return next((each for each in table.providers.values() if matches(each.names, lowered)), None)


def by_model(table: Table, model: str) -> Provider | None:
    """The provider whose models are called like that, for who knows nothing else."""
    return next((each for each in table.providers.values() if matches(each.model_names, model)), None)


def find(
    table: Table, provider: str | None, address: str | None, model: str
) -> tuple[Provider | None, str, str]:
    """Who bills a call.

    Args:
        table: The table.
        provider: `gen_ai.provider.name`, if it is known.
        address: What was called, as `address_of` gives it, if it is known.
        model: The model's name in lower case.

    Returns:
        The provider, the name under which it has the model, and how it was found.
    """
    if address is not None:
        found = by_address(table, address)
        where = f"the address {address}"
        return found, model, f"by {where}" if found else f"no provider has {where}"
    if provider is not None:
        if provider.lower().strip() == _LITELLM:
            named, slash, rest = model.partition("/")
            if slash and named and (found := by_name(table, named)) is not None:
                return found, rest, f"by the model's name {model!r}, as LiteLLM writes it"
        elif (found := by_name(table, provider)) is not None:
            return found, model, f"by the name {provider!r}"
        else:
            return None, model, f"no provider is called {provider!r}"
    found = by_model(table, model)
    return (
        found,
        model,
        f"by the model's name {model!r}" if found else "neither an address nor a name is known",
    )


def find_model(table: Table, provider: Provider, name: str) -> tuple[Model | None, Provider, str]:
    """The model that a name in lower case means to a provider.

    Returns:
        The model, the provider whose it is (one can serve another's), and the name that it was found by.
    """
    for written in _spellings(table, provider, name):
        for owner in (provider, *_served(table, provider)):
            if (model := owner.find(written)) is not None:
                return model, owner, written
    return None, provider, name


def _served(table: Table, provider: Provider) -> list[Provider]:
    return [found for each in provider.fallback if (found := table.providers.get(each)) is not None]


def _spellings(table: Table, provider: Provider, name: str) -> list[str]:
    """The name, then with its day as the data write it, then without what a cloud or LiteLLM puts before it."""
    spellings = [name, _COMPACT_DAY.sub(_with_dashes, name)]
    if provider.id in {"google", "aws"} and name.startswith(_PREFIXED):
        spellings.append(name.rpartition("/")[2])
    before, slash, rest = name.partition("/")
    if slash and by_name(table, before) is provider:
        spellings.append(rest)
    return list(dict.fromkeys(each for each in spellings if each))


def _with_dashes(found: re.Match[str]) -> str:
    year, month, day = found.groups()
    if int(day) > _DAYS[int(month) - 1]:
        return found.group()
    if (month, day) == ("02", "29") and int(year) % 4:
        return found.group()
    return f"-{year}-{month}-{day}"


def canonical(table: Table, name: str, known: Mapping[str, str] = NAMES) -> str:
    """One word for a provider, by which two names of it are seen to be the same."""
    lowered = name.lower().strip()
    found = by_name(table, lowered)
    return found.id if found is not None else known.get(lowered, lowered)
