"""What was said, where no name says so: messages in a text, and errors of providers that quote what they were sent.

A provider that refuses a request may say which part of it, and then the prompt is in the exception: in its text, in
the status of a span, in tracebacks, in log lines, in Sentry. What else such an error says is kept: its class, the status
and the words of the provider for it (`context_length_exceeded`). Errors that come before a request is read (no access,
too many requests, no connection) are kept as they are.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

from otel_kpi.redaction.rules import Rule
from otel_kpi.redaction.shapes import REDACTED

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIBRARIES: Final = (
    "openai", "anthropic", "google.genai", "google.api_core", "vertexai", "mistralai", "cohere", "ollama", "litellm",
    "groq", "together", "agents", "langchain", "langchain_core", "langchain_openai", "langchain_anthropic",
    "langchain_community", "langgraph", "llama_index", "mcp", "instructor", "pydantic_ai", "dspy", "crewai", "haystack",
    "guardrails", "huggingface_hub", "replicate", "bedrock_runtime",
)  # fmt: skip
"""Libraries whose exceptions may quote a prompt or an answer."""
_LOGGERS: Final = (
    *_LIBRARIES, "botocore.endpoint", "botocore.parsers", "LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "google_genai",
    "langsmith", "smolagents",
)  # fmt: skip
VARIABLES: Final = frozenset((
    "messages", "prompt", "prompts", "system_prompt", "user_prompt", "question", "answer", "completion", "completions",
    "user_message", "user_input", "chat_history", "conversation", "input_messages", "output_messages", "instructions",
    "embedding", "embeddings", "json_data", "system", "contents", "input", "tools",
))  # fmt: skip
"""What programs call it; looked for in the local variables of an error, where a library that asks models is loaded."""
_UNREAD: Final = frozenset((
    "RateLimitError", "AuthenticationError", "PermissionDeniedError", "NotFoundError", "ConflictError",
    "APIConnectionError", "APITimeoutError", "Timeout", "ServiceUnavailableError", "OverloadedError", "ConnectError",
    "TooManyRequestsError", "UnauthorizedError", "ForbiddenError", "BudgetExceededError",
))  # fmt: skip
"""Classes of errors that come before a request is read."""
_READ: Final = r"(?:400|413|422|5\d\d)"
"""Statuses with which a provider may quote a request."""
_END: Final = r"(?=\n\nThe above exception was|\n\nDuring handling of|\Z)"
_WORD: Final = re.compile(r"['\"](type|code|status|param)['\"]:\s*['\"]([A-Za-z][A-Za-z_]{2,48})['\"]")
_CALLS: Final = (
    r"(?:Converse|ConverseStream|InvokeModel|InvokeModelWithResponseStream|InvokeAgent|Retrieve\w*)"
)
_MODULES: Final = "|".join(re.escape(name) for name in sorted(_LIBRARIES, key=len, reverse=True))

_RAISED: Final = re.compile(
    rf"(?P<head>(?<![\w.])(?:{_MODULES})(?:\.\w+)*\.(?P<cls>[A-Z]\w*): )(?P<said>.+?){_END}", re.DOTALL
)
_REFUSED: Final = re.compile(
    r"(?P<head>"
    rf"\bError code: {_READ} - "  # OpenAI, Anthropic and all whose clients are made alike
    rf"|\b{_READ} [A-Z_]{{4,40}}\. (?=\{{)"  # Google
    rf"|\b[Ss]tatus (?:code )?{_READ}\b[^\n]{{0,120}}?[Bb]ody: ?"  # Mistral
    rf"|\bstatus_code: {_READ}, body: "  # Cohere
    rf"|\bAn error occurred \((?:Validation|Model)\w{{0,40}}\) when calling the {_CALLS} operation[^:\n]{{0,60}}: "
    r"|\bCould not parse LLM output: "
    rf")(?P<said>.+?){_END}",
    re.DOTALL,
)
_DONE: Final = re.compile(r"(?:Error code: \d{3} - |\d{3} [A-Z_]+\. )\[withheld[^\]]*\]\Z")
_ROOTS: Final = tuple(f"{name}." for name in dict.fromkeys(name.partition(".")[0] for name in _LIBRARIES))
_STATUS: Final = re.compile(rf"\(status code: {_READ}\)")
_OLLAMA: Final = re.compile(rf"(?P<head>\bResponseError: )(?P<said>.+?){_STATUS.pattern}", re.DOTALL)
_MARKERS: Final = ("Error code: ", ". {", "ody: ", "when calling the ", "LLM output", "ResponseError: ")

# A message: somebody's role, and next to it what was said.
_ROLE: Final = re.compile(
    r"\brole\\*[\"']?\s*[:=]\s*\\*[\"']?<?(?:\w+\.)?(?:user|system|assistant|developer|tool|function|model|human|ai)\b"
    r"|\b(?:Human|AI|System|Chat|Tool|Function)\w{0,24}Message\w{0,8}\(|\bMessageParam\(|\bTextBlock\(",
    re.IGNORECASE,
)
_SAID: Final = re.compile(
    r"(?P<before>(?<![\w.])\\*[\"']?(?:content|contents|text|arguments|thinking|reasoning|reasoning_content|input|output"
    r"|instructions|page_content|transcript|refusal|system|prompt|completion|partial_json|query)\\*[\"']?\s*[:=]\s*)"
    r"(?P<quote>\\*[\"'])(?P<value>(?:(?!(?P=quote))(?:\\.|[^\\]))*)(?P<close>(?P=quote)|\Z)",
    re.DOTALL,
)


def is_quoting(kind: str) -> bool:
    """Whether an exception of this qualified name may quote what was said."""
    head, _, cls = kind.rpartition(".")
    if not head or cls in _UNREAD:
        return False
    return any(head == name or head.startswith(f"{name}.") for name in _LIBRARIES)


def is_from(module: str) -> bool:
    """Whether a module, or a logger, belongs to a library that hands on prompts and answers."""
    return any(module == name or module.startswith(f"{name}.") for name in _LOGGERS)


def are_models_asked() -> bool:
    """Whether this process has loaded a library that asks models."""
    return any(name in sys.modules for name in _LIBRARIES)


def withheld(said: str) -> str:
    """What may be known of a provider's error: the words that it has for it."""
    status = re.search(rf"\b(?:Error code: |status_code: |[Ss]tatus (?:code: ?)?)?({_READ})\b", said[:64])
    known = [] if status is None else [f"status={status[1]}"]
    for match in _WORD.finditer(said[:4096]):
        word = f"{match[1]}={match[2]}"
        if word not in known:
            known.append(word)
    return f"[withheld{': ' if known else ''}{' '.join(known[:4])}]"


def _without_quotes(text: str) -> str:
    def refused(match: re.Match[str]) -> str:
        return match["head"] + withheld(match["said"])

    def raised(match: re.Match[str]) -> str:
        if match["cls"] in _UNREAD or _DONE.match(match["said"]) is not None:
            return match[0]
        return match["head"] + withheld(match["said"])

    ends = [match.end() for match in _STATUS.finditer(text)] if "ResponseError: " in text else ()
    if ends:
        # Behind the last status there is none to be looked for, again and again.
        text = _OLLAMA.sub(refused, text[: ends[-1]]) + text[ends[-1] :]
    return _RAISED.sub(raised, _REFUSED.sub(refused, text))


def _without_messages(text: str) -> str:
    if _ROLE.search(text) is None:
        return text
    return _SAID.sub(
        lambda match: (
            match[0]
            if match["value"] in {"", REDACTED}
            else f"{match['before']}{match['quote']}{REDACTED}{match['close']}"
        ),
        text,
    )


QUOTE: Final = Rule("error of a provider, which may quote a prompt", _without_quotes)
MESSAGE: Final = Rule("what was said in a conversation with a model", _without_messages)


def due(text: str) -> Iterator[Rule]:
    """The rules that may find something in this text."""
    # Written out, for every new text is asked.
    if ("rror" in text or "xception" in text or "ody: " in text or "LLM output" in text) and ": " in text:
        for marker in _MARKERS:
            if marker in text:
                yield QUOTE
                break
        else:
            if any(root in text for root in _ROOTS) and _RAISED.search(text) is not None:
                yield QUOTE
    if "role" in text or "Message" in text or "TextBlock(" in text:
        yield MESSAGE
