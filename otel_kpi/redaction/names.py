"""What the name of a value says of it: a secret, content of a conversation, a statement, somebody's address.

Names are compared by their words, so that `X-Api-Key`, `x_api_key`, `xApiKey` and `http.request.header.x-api-key`
are one name in any generation of the conventions. Pure functions.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from fnmatch import fnmatchcase
from itertools import pairwise
from urllib.parse import unquote


class Kind(enum.IntEnum):
    """What a name says of its value."""

    PLAIN = 0
    """Nothing: the text itself is looked at."""
    ALLOWED = 1
    """The user let it through as it is."""
    SECRET = 2
    """A secret, whatever it is."""
    CONTENT = 3
    """What people and models said to each other."""
    STATEMENT = 4
    """A database statement with literals in it."""
    CLIENT = 5
    """The address of who calls, which is a person's also when it is a private one."""
    MESSAGE = 8
    """The same, where the user lets it through."""
    LEAKING = 7
    """Nothing, but the name has a secret in it: `token=…`, somebody's e-mail address."""
    EXACT = 6
    """A server of our own or a version: four numbers with dots between them are not a person's address."""


# Words that make a name secret wherever they stand in it: `http.request.header.set-cookie`.
_ANYWHERE = frozenset((
    "authorization", "cookie", "cookies", "password", "passwords", "passwd", "passphrase", "passcode", "pwd",
    "secret", "secrets", "credential", "credentials", "apikey", "csrf", "xsrf", "csrftoken", "csrfmiddlewaretoken",
    "sessionid", "phpsessid", "jsessionid", "jwt", "cvv", "cvc", "ssn", "otp", "totp", "mnemonic", "creds", "privkey",
    "psk", "kubeconfig", "requirepass", "masterauth", "passwort", "kennwort",
))  # fmt: skip
# Pairs of neighbouring words that do the same: `x-api-key`, `aws_secret_access_key`, `cardNumber`.
_PAIRS = frozenset((
    ("api", "key"), ("access", "key"), ("private", "key"), ("encryption", "key"), ("signing", "key"),
    ("account", "key"), ("shared", "key"), ("session", "key"), ("master", "key"), ("service", "key"),
    ("session", "token"), ("session", "cookie"), ("token", "value"), ("auth", "header"), ("pass", "word"),
    ("pass", "phrase"), ("db", "pass"), ("user", "pass"), ("smtp", "pass"), ("mail", "pass"), ("redis", "pass"),
    ("sudo", "pass"), ("root", "pass"), ("admin", "pass"), ("login", "pass"), ("proxy", "pass"), ("ftp", "pass"),
    ("ssh", "pass"), ("ldap", "pass"), ("mysql", "pass"), ("http", "pass"), ("bind", "pass"),
    ("ssh", "key"), ("pgp", "key"), ("gpg", "key"), ("aes", "key"), ("hmac", "key"), ("deploy", "key"),
    ("license", "key"), ("subscription", "key"), ("functions", "key"), ("stripe", "key"), ("openai", "key"),
    ("anthropic", "key"), ("sendgrid", "key"),
    ("mfa", "code"), ("verification", "code"), ("recovery", "code"), ("recovery", "codes"), ("backup", "code"),
    ("backup", "codes"), ("security", "answer"), ("magic", "link"), ("code", "verifier"), ("oauth", "verifier"),
    ("client", "assertion"), ("saml", "response"), ("saml", "assertion"),
    ("card", "number"), ("credit", "card"), ("connect", "sid"), ("bearer", "token"),
))  # fmt: skip
# Words that are secret only as the last one: `access_token` is, `gen_ai.token.type` and `session.id` are not.
_LAST = frozenset({"token", "session", "auth", "bearer", "pw"})
# A name that ends like this speaks about a secret and does not carry it: `token_count`, `password.policy`.
_ABOUT = frozenset((
    "count", "type", "length", "limit", "policy", "expires", "expiry", "expired", "enabled", "required", "valid",
    "at", "url", "uri", "endpoint",
))  # fmt: skip
# The same words written together: `dbpassword`, `accesstoken`.
_INSIDE = ("password", "passwd", "passphrase", "apikey", "privatekey", "accesskey", "secretkey", "authtoken",
           "accesstoken", "refreshtoken", "clientsecret", "cardnumber")  # fmt: skip
# The working directory of a shell, not a password.
_PATHS = frozenset({"PWD", "OLDPWD"})

# Every name that can be secret has one of these in it; a text without one has no `name=value` to look at.
MARKERS = (
    "pass", "pwd", "secret", "token", "key", "cred", "sess", "cookie", "auth", "srf", "jwt", "cvv", "cvc", "card",
    "sid", "sig", "ssn", "otp", "bearer", "mnemonic", "psk", "pw", "kubeconfig", "kennwort", "mfa", "verif", "recovery",
    "backup", "security", "magic", "assertion", "saml", "state=",
)  # fmt: skip

# Statements: the stable name, the old one, and what drivers and tools call it.
_STATEMENTS = frozenset({"db.query.text", "db.statement", "db.sql", "sql.query", "sql"})
# The values of a statement, one attribute each.
_PARAMETERS = ("db.query.parameter.", "db.statement.parameters", "db.operation.parameter.")

# GenAI content in both generations of the conventions, in OpenInference, OpenLLMetry and Pydantic AI.
_CONTENT = frozenset((
    "gen_ai.prompt", "gen_ai.completion", "gen_ai.content.prompt", "gen_ai.content.completion",
    "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result", "gen_ai.tool.definitions", "gen_ai.retrieval.documents",
    "gen_ai.retrieval.query.text", "gen_ai.evaluation.explanation", "gen_ai.event.content", "gen_ai.tool.message",
    "llm.prompts", "llm.completions", "llm.input_messages", "llm.output_messages", "llm.prompt_template.variables",
    "llm.prompt_template.template", "llm.function_call", "llm.tools", "input.value", "output.value",
    "embedding.text", "embedding.embeddings", "retrieval.documents", "reranker.query", "reranker.input_documents",
    "reranker.output_documents", "document.content", "message.content", "message.contents",
    "tool_call.function.arguments", "tool.parameters", "traceloop.entity.input", "traceloop.entity.output",
    "traceloop.prompt.template_variables", "all_messages_events", "pydantic_ai.all_messages", "final_result",
    "tool_arguments", "tool_response", "ai.prompt", "ai.prompt.messages", "ai.response.text",
    "ai.response.toolcalls", "ai.response.object", "ai.toolcall.args", "ai.toolcall.result", "ai.value", "ai.values",
    "mcp.tool.arguments", "mcp.tool.result", "mcp.request.argument", "message.tool_calls", "gen_ai.request.messages",
    "gen_ai.user.message", "gen_ai.system.message", "gen_ai.assistant.message", "gen_ai.openai.request.messages",
    "gcp.vertex.agent.llm_request", "gcp.vertex.agent.llm_response", "gcp.vertex.agent.tool_call_args",
    "gcp.vertex.agent.tool_response", "langfuse.observation.input", "langfuse.observation.output",
    "langfuse.trace.input", "langfuse.trace.output", "mlflow.spaninputs", "mlflow.spanoutputs", "lmnr.span.input",
    "lmnr.span.output", "haystack.component.input", "haystack.component.output", "haystack.pipeline.input_data",
    "haystack.pipeline.output_data",
    # Sentry's own, LiteLLM's, Logfire's, vector databases', and ours.
    "ai.input_messages", "ai.responses", "ai.texts", "ai.preamble", "ai.documents", "ai.search_results",
    "ai.search_queries", "ai.citations", "ai.function_call", "ai.tool_calls", "ai.tools", "gen_ai.choice",
    "gen_ai.request.available_tools", "gen_ai.response.text", "gen_ai.response.tool_calls", "gen_ai.responses",
    "gen_ai.response.object", "gen_ai.tool.input", "gen_ai.tool.output", "gen_ai.embeddings.input",
    "gen_ai.agent.instructions", "gen_ai.task.input", "gen_ai.task.output", "gen_ai.request.functions",
    "gen_ai.prompt.variable", "gen_ai.prompt.template", "gen_ai.memory.records", "gen_ai.memory.query.text",
    "llm.choices", "llm.request.functions", "llm.invocation_parameters", "llm.user_input", "llm.chat.messages",
    "request_data", "response_data", "db.query.result.document", "db.query.result.metadata", "audio.transcript",
    "input.audio.transcript", "output.audio.transcript", "crewai.crew.result", "crewai.task.description",
    "crewai.task.expected_output", "gcp.gen_ai.operation.config.system_instruction",
    "gcp.gen_ai.operation.config.contents", "litellm.messages", "litellm.response", "kpi.llm.feedback.comment",
))  # fmt: skip
# The same numbered: `gen_ai.prompt.0.content`, `llm.input_messages.0.message.content`.
_CONTENT_PARENTS = tuple(f"{name}." for name in sorted(_CONTENT))
# Under a content's name, and no content.
_NO_CONTENT = frozenset({"role", "finish_reason", "name", "id", "version", "score", "model"})
# What stands under these was named by the application: a variable of a prompt that is called `name` is somebody's.
_NAMED_BY_USERS = (
    "gen_ai.prompt.variable.", "llm.prompt_template.variables.", "traceloop.prompt.template_variables.",
    "gen_ai.tool.call.arguments.", "gen_ai.tool.call.result.", "mcp.tool.arguments.", "mcp.tool.result.",
    "mcp.request.argument.", "tool.parameters.", "tool_arguments.", "tool_response.", "ai.toolcall.args.",
    "ai.toolcall.result.", "gcp.vertex.agent.tool_call_args.", "gcp.vertex.agent.tool_response.",
)  # fmt: skip
# LiteLLM's spans of raw requests: `llm.<provider>.<parameter>`, whatever the provider.
_RAW_PARAMETERS = frozenset({
    "messages", "input", "prompt", "system", "system_instruction", "contents", "tools", "functions", "instructions",
    "stringified_raw_response", "choices", "output", "content", "candidates", "documents", "query", "texts", "data",
    "metadata", "response_format", "preamble", "chat_history", "message", "text", "generations",
})  # fmt: skip
_RAW_PARTS = 3
_NO_PROVIDERS = frozenset({"usage", "token_count", "cost", "request", "response", "model", "prompt_template"})

_CLIENT = frozenset((
    ("client", "address"), ("client", "ip"), ("forwarded", "for"), ("real", "ip"), ("connecting", "ip"),
    ("remote", "addr"), ("remote", "address"), ("remote", "ip"), ("user", "ip"), ("enduser", "ip"),
    ("enduser", "address"), ("ip", "address"), ("source", "address"), ("source", "ip"), ("original", "ip"),
))  # fmt: skip
_EXACT = frozenset({"server", "host", "version", "release", "local", "oid", "listen", "bind", "dns"})

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z]{2})(?=[A-Z][a-z])")
_WORD = re.compile(r"[a-z0-9]+")


def words_of(name: str) -> list[str]:
    """The words of a name in lower case; percent-encoded and full-width letters are the letters they stand for."""
    if "%" in name:
        name = unquote(name)
    if not name.isascii():
        name = unicodedata.normalize("NFKC", name)
    return _WORD.findall(_CAMEL.sub("_", name).lower())


def is_listed(name: str, words: list[str], listed: tuple[str, ...]) -> bool:
    """Whether a user's list has this name.

    An entry with `*` or `?` is compared with the whole name; any other matches where its words stand next to each
    other in the name: `customer_no` is in `order.customerNo`.
    """
    lower = name.lower()
    joined = f" {' '.join(words)} "
    for entry in listed:
        if "*" in entry or "?" in entry:
            if fnmatchcase(lower, entry.lower()):
                return True
        else:
            wanted = " ".join(words_of(entry))
            if (wanted and f" {wanted} " in joined) or lower == entry.lower():
                return True
    return False


def kind_of(  # noqa: PLR0911 - one return for each kind
    name: str, keys: tuple[str, ...] = (), allow: tuple[str, ...] = (), *, content: bool = False
) -> Kind:
    """What the name says of its value.

    Args:
        name: The name of an attribute, header, parameter or variable.
        keys: Names that are secrets beside those known here.
        allow: Names whose values leave as they are; wins over everything.
        content: Whether GenAI content may leave.
    """
    words = words_of(name)
    if allow and is_listed(name, words, allow):
        return Kind.ALLOWED
    if keys and is_listed(name, words, keys):
        return Kind.SECRET
    lower = name.lower()
    if _is_content(lower):
        return Kind.MESSAGE if content else Kind.CONTENT
    if _is_secret(name, words) or lower.startswith(_PARAMETERS):
        return Kind.SECRET
    if lower in _STATEMENTS:
        return Kind.STATEMENT
    if words and (tuple(words[-2:]) in _CLIENT or words[-1] == "forwarded"):
        return Kind.CLIENT
    return Kind.PLAIN if _EXACT.isdisjoint(words) else Kind.EXACT


def _is_secret(name: str, words: list[str]) -> bool:
    if name in _PATHS or not words or words[-1] in _ABOUT:
        return False
    return (
        words[-1] in _LAST
        or not _ANYWHERE.isdisjoint(words)
        or any(pair in _PAIRS for pair in pairwise(words))
        or any(part in word for word in words for part in _INSIDE)
    )


def _is_content(lower: str) -> bool:
    if lower in _CONTENT or lower.startswith(_NAMED_BY_USERS):
        return True
    if lower.startswith("llm."):
        parts = lower.split(".")
        if len(parts) >= _RAW_PARTS and parts[2] in _RAW_PARAMETERS and parts[1] not in _NO_PROVIDERS:
            return True
    return lower.startswith(_CONTENT_PARENTS) and lower.rpartition(".")[2] not in _NO_CONTENT
