"""What happens to a value and why, path by path: the same walk as on the way out, told aloud.

Every verdict is checked against what really happens: an explanation that differs from the redactor's own result would
be worse than none, so what leaves is always the redactor's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from otel_kpi.redaction.names import Kind
from otel_kpi.redaction.redactor import REDACTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_kpi.redaction.redactor import Redactor

_DEPTH = 16
_ACTIONS = ("kept", "shortened", "hashed", "replaced", "dropped")
_OF_NAMES = {
    Kind.ALLOWED: "the allow-list has its name",
    Kind.SECRET: "its name says that it is a secret",
    Kind.CONTENT: "content of a conversation with a model",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What becomes of one value.

    Attributes:
        path: Where it stands, as in jq: `.attributes["db.query.text"]`, `.items[0]`.
        action: `kept`, `shortened`, `hashed`, `replaced` or `dropped`.
        reasons: The rules that say so; empty for a value that is kept because nothing was found.
        leaves: What leaves in its place; None when it is dropped.
    """

    path: str
    action: str
    reasons: tuple[str, ...]
    leaves: Any = None


def explain(
    redactor: Redactor, value: Any, key: str = "", path: str = "", depth: int = 0
) -> Iterator[Finding]:
    """Each value in `value` with what becomes of it.

    Args:
        redactor: The policy at work.
        value: As it comes from JSON.
        key: The name under which it stands.
        path: The path to it.
        depth: Levels above it.
    """
    shown = path or "."
    if redactor.off:
        yield Finding(shown, "kept", ("redaction is off",), value)
        return
    kind = redactor.kind(key)
    reason = _OF_NAMES.get(kind)
    if reason is not None:
        leaves = redactor.value(key, value)
        action = "kept" if leaves is value else "dropped" if kind is Kind.CONTENT else "replaced"
        reasons = (reason,) if kind is Kind.ALLOWED or action != "kept" else (f"{reason}, and there is none",)
        yield Finding(shown, action, reasons, None if action == "dropped" else leaves)
    elif isinstance(value, (Mapping, list)) and depth >= _DEPTH:
        yield Finding(shown, "replaced", ("nested too deeply",), REDACTED)
    elif isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        leaving = redactor.value(key, mapping)
        for name, each in mapping.items():
            if leaving.get(name) == REDACTED and redactor.value(name, each) != REDACTED:
                yield Finding(
                    f"{path}{_step(name)}", "replaced", ("what stands beside it says so",), REDACTED
                )
            else:
                yield from explain(redactor, each, name, f"{path}{_step(name)}", depth + 1)
            if redactor.text(name) != name:
                yield Finding(
                    f"{path}{_step(redactor.text(name))}",
                    "replaced",
                    ("a secret in the name",),
                    redactor.text(name),
                )
    elif isinstance(value, list):
        yield from _members(redactor, cast("list[Any]", value), key, path, depth)
    else:
        yield _single(redactor, kind, key, value, shown)


def _members(redactor: Redactor, values: list[Any], key: str, path: str, depth: int) -> Iterator[Finding]:
    leaving = redactor.value(key, values)
    for index, each in enumerate(values):
        left = leaving[index] if index < len(leaving) else None
        if left == REDACTED and redactor.value(key, each) != REDACTED:
            yield Finding(f"{path}[{index}]", "replaced", ("the value before it names a secret",), left)
        else:
            yield from explain(redactor, each, key, f"{path}[{index}]", depth + 1)


def _single(redactor: Redactor, kind: Kind, key: str, value: Any, path: str) -> Finding:
    leaves = redactor.value(key, value)
    if leaves is value or leaves == value:
        return Finding(path, "kept", (), value)
    text = value if isinstance(value, str) else str(value)
    actions: list[str] = []
    reasons: list[str] = []
    if kind is Kind.STATEMENT:
        from otel_kpi.redaction.statements import without_literals

        clean = without_literals(text)
        if clean != text:
            actions.append("replaced")
            reasons.append("literals of a database statement")
        text = clean
    client = kind is Kind.CLIENT and not redactor.policy.whole_addresses
    try:
        steps = list(
            redactor.ruleset.steps(text, addresses=kind not in (Kind.EXACT, Kind.CLIENT), client=client)
        )
    except Exception as error:
        return Finding(path, "replaced", (f"a rule failed ({type(error).__name__})",), leaves)
    for rule, _ in steps:
        actions.append(rule.action)
        reasons.append(rule.name)
    if kind is Kind.MESSAGE and isinstance(value, str) and leaves != redactor.text(value):
        actions.append("shortened")
        reasons.append(f"content of more than {redactor.policy.content_length} characters")
    action = max(actions, key=_ACTIONS.index, default="replaced")
    return Finding(path, action, tuple(dict.fromkeys(reasons)) or ("a secret behind other signs",), leaves)


def _step(name: str) -> str:
    return f".{name}" if name.isidentifier() else f'["{name}"]'
