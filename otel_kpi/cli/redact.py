"""`otel-kpi redact`: what would leave of a JSON document under the policy of this environment, and why."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from otel_kpi import redaction
from otel_kpi.declarative import resolve_process
from otel_kpi.redaction.explain import Finding, explain

if TYPE_CHECKING:
    import argparse

SUMMARY = "Show what would leave of a JSON document, and with --explain what happens to each value and why."

_WIDTH = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "file", nargs="?", default="-", help="a JSON document, or one a line; - is standard input (default)"
    )
    parser.add_argument(
        "--explain", action="store_true", help="say of each value what happens to it, and why"
    )
    parser.add_argument("--json", action="store_true", help="print the explanation as JSON")


def main(args: argparse.Namespace) -> int:
    """Print what leaves.

    Returns:
        0 when the document leaves as it is, 1 when something in it does not, 2 when it cannot be read.
    """
    try:
        documents = _documents(_read(args.file))
    except (OSError, ValueError, RecursionError) as error:
        print(f"otel-kpi redact: {args.file}: {_reason(error)}", file=sys.stderr)
        return 2
    resolved, _ = resolve_process(os.environ)
    for line in redaction.use(redaction.policy_of(resolved.settings)):
        print(f"! {line}", file=sys.stderr)
    redactor = redaction.active()
    leaving = [_leaving(document) for document in documents]
    if args.explain or args.json:
        findings = [list(explain(redactor, document)) for document in documents]
        _print_json(leaving, findings) if args.json else _print_table(findings)
    else:
        for document in leaving:
            print(json.dumps(document, indent=2, ensure_ascii=False))
    return 0 if leaving == documents else 1


def _leaving(document: Any) -> Any:
    """As attributes leave: what is dropped is not there."""
    if isinstance(document, dict):
        kept = redaction.redact_attributes(cast("dict[str, Any]", document))
        return {name: _without_content(value) for name, value in kept.items()}
    return redaction.active().value("", document)


def _without_content(value: Any) -> Any:
    if isinstance(value, dict):
        return _leaving(cast("dict[str, Any]", value))
    if isinstance(value, list):
        return [_without_content(each) for each in cast("list[Any]", value)]
    return value


def _read(file: str) -> str:
    raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    return raw.decode("utf-8-sig")


def _documents(text: str) -> list[Any]:
    """One document, or one a line as log files have them."""
    try:
        return [json.loads(text)]
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not all(line.lstrip()[:1] in "{[" for line in lines):  # noqa: PLR2004 - one is no list
            raise
        return [json.loads(line) for line in lines]


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte {error.start} is {error.object[error.start]:#04x}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return getattr(error, "strerror", None) or str(error)


def _print_table(documents: list[list[Finding]]) -> None:
    for findings in documents:
        width = min(_WIDTH, max((len(finding.path) for finding in findings), default=0))
        for finding in findings:
            leaves = "" if finding.action in ("kept", "dropped") else f"  → {_short(finding.leaves)}"
            why = f"  ({'; '.join(finding.reasons)})" if finding.reasons else ""
            print(f"{finding.action:<9} {finding.path:<{width}}{leaves}{why}")


def _print_json(leaving: list[Any], documents: list[list[Finding]]) -> None:
    shown = [
        {
            "leaves": document,
            "findings": [
                {
                    "path": each.path,
                    "action": each.action,
                    "reasons": list(each.reasons),
                    "leaves": each.leaves,
                }
                for each in findings
            ],
        }
        for document, findings in zip(leaving, documents, strict=True)
    ]
    print(json.dumps(shown[0] if len(shown) == 1 else shown, indent=2, ensure_ascii=False))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
