"""Database statements without their literals: `WHERE email = 'bob@example.com'` becomes `WHERE email = ?`.

Not a parser. Where it cannot be known which quotation mark ends a literal (a backslash means different things to
MySQL and to the standard), everything between the first and the last one goes.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

_PLACEHOLDER = "?"

_TOKEN = re.compile(
    r"(?P<comment>--[^\r\n]*|/\*.*?(?:\*/|\Z))"
    r"|(?P<dollar>\$(?P<tag>\w{0,32})\$.*?(?:\$(?P=tag)\$|\Z))"
    r"|(?P<string>'(?:[^']|'')*(?:'|\Z))"
    r"|(?P<double>\"(?:[^\"]|\"\")*(?:\"|\Z))"
    r"|(?P<number>(?<![\w$:@%.?#])(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w$]))",
    re.DOTALL,
)
# Without one of these there is no literal, and no comment.
_WORTH_LOOKING = re.compile(r"['\"0-9]|--|/\*|\$\w*\$")
_ESCAPED = re.compile(r"['\"].*['\"]|['\"].*\Z", re.DOTALL)
# What stands before a text in double quotes that is a literal of MySQL's and not an identifier.
_BEFORE_VALUE = re.compile(r"(?:[=<>(]|\b(?:like|values|in|then|else|regexp|set)\b)\s*\Z", re.IGNORECASE)
# Commands of Redis whose arguments are passwords; nothing quotes them.
_PASSWORDS = re.compile(
    r"(?P<before>\A\s*(?:AUTH|ACL\s+SETUSER\s+\S+|CONFIG\s+SET\s+(?:requirepass|masterauth))\b"
    r"|\A\s*(?:HELLO|MIGRATE)\b.*?\bAUTH2?\b).*",
    re.IGNORECASE | re.DOTALL,
)
_VALUES = re.compile(r"\bvalues\s*\(", re.IGNORECASE)
_IDENTIFIER = re.compile(r'"[A-Za-z_][\w$]*"\Z')

# A statement within another text begins like this, in one case, as programs write it, and ends at the latest where a
# traceback or a report goes on.
_BEGIN = re.compile(
    r"\b(?:(?P<upper>SELECT)|(?P<lower>select)|INSERT\s+INTO|UPDATE\s+\S{1,128}\s+SET|DELETE\s+FROM|REPLACE\s+INTO"
    r"|MERGE\s+INTO|CALL\s+[\w.]{1,128}\s*(?=\()|(?:CREATE|ALTER)\s+(?:USER|ROLE|LOGIN)"
    r"|SET\s+PASSWORD|EXEC(?:UTE)?\s+[\w.\[\]]{1,128}"
    r"|insert\s+into|update\s+\S{1,128}\s+set|delete\s+from)\b"
)
_END = re.compile(r"\n[ \t]*(?:File \"|Traceback|\[|\(Background|During|The above)|\][ \t]*\n|\Z")
_REACH = 2000  # characters between SELECT and FROM
# What databases and SQLAlchemy say of the values of a statement that failed.
_REPORTS = (
    (re.compile(r"(\[(?:parameters|generated parameters)?[^\]\n]{0,40}parameters: ).*?(?=\]\s*(?:\n|\Z)|\Z)", re.DOTALL), r"\1?"),
    (re.compile(r"(\bKey \([^)\n]{1,256}\)=\().*?(\)(?= |\.|\n|\Z)|\Z)"), r"\1?\2"),
    (re.compile(r"(?i)(\bfailing row contains \().*?(\)\.?(?=\n|\Z)|\Z)", re.DOTALL), r"\1?\2"),
    (re.compile(r"(?i)(\bduplicate entry ').*?(' for key\b|\Z)", re.DOTALL), r"\1?\2"),
)  # fmt: skip


def without_literals(statement: str) -> str:
    """The statement with `?` for each text and number in it; the same object when there was none."""
    password = _PASSWORDS.match(statement)
    if password is not None:
        return f"{password['before']} {_PLACEHOLDER}"
    if _WORTH_LOOKING.search(statement) is None:
        return statement
    if statement.lstrip()[:1] in ("{", "["):
        return _document(statement)
    if "\\" in statement and ("\\'" in statement or '\\"' in statement):
        return _ESCAPED.sub(_PLACEHOLDER, statement)
    in_values = _VALUES.search(statement)
    boundary = in_values.end() if in_values is not None else len(statement)

    def replace(match: re.Match[str]) -> str:
        kind = match.lastgroup
        if kind == "tag":
            kind = "dollar"
        if kind == "comment":
            return "/*?*/" if match[0].startswith("/*") else "--"
        if kind == "double":
            return match[0] if _is_identifier(match, boundary) else _PLACEHOLDER
        return _PLACEHOLDER

    found = _TOKEN.sub(replace, statement)
    return statement if found == statement else found


def _is_identifier(match: re.Match[str], boundary: int) -> bool:
    """PostgreSQL, SQLite and Oracle quote identifiers like this; MySQL quotes texts."""
    text, start, end = match.string, match.start(), match.end()
    if not _IDENTIFIER.match(match[0]):
        return False
    if text[end : end + 1] == "." or text[start - 1 : start] == ".":
        return True
    # The names of the columns that a conflict or an answer is about come behind the values.
    if start >= boundary and _tail_of_values(text[boundary:start]):
        return True
    if start >= boundary:
        return False
    before = _BEFORE_VALUE.search(text[max(0, start - 16) : start])
    return (
        before is None
        or (before[0].lstrip()[:1] in "(<>" and before[0].strip() == "(")
        or before[0].strip().lower() == "set"
    )


def _tail_of_values(between: str) -> bool:
    return re.search(r"\)\s*(?:on\s+conflict|returning)\b", between, re.IGNORECASE) is not None


def _document(statement: str) -> str:
    """A command in JSON: its names stay, its values go."""
    try:
        command: Any = json.loads(statement)
    except (ValueError, RecursionError):
        # Python's own writing of a document; whatever is quoted or a number may be a value.
        found = _TOKEN.sub(_PLACEHOLDER, statement)
        return statement if found == statement else found
    return json.dumps(_leaves(command), default=str)


def _leaves(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _leaves(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_leaves(each) for each in cast("list[Any]", value)]
    return value if value is None or isinstance(value, bool) else _PLACEHOLDER


def statements_in(text: str) -> str:
    """A log line, exception text or traceback whose statements have no literals."""
    pieces: list[str] = []
    done = position = 0
    while (found := _BEGIN.search(text, position)) is not None:
        begin, position = found.span()
        word = "FROM" if found["upper"] else "from" if found["lower"] else None
        if word is not None and text.find(word, position, position + _REACH) < 0:
            continue
        end = _END.search(text, position)
        position = end.start() if end is not None else len(text)
        pieces += (text[done:begin], without_literals(text[begin:position]))
        done = position
    return "".join((*pieces, text[done:])) if pieces else text


def values_in_reports(text: str) -> str:
    """The text without the values that a database or SQLAlchemy repeats in its error messages."""
    for pattern, replacement in _REPORTS:
        text = pattern.sub(replacement, text)
    return text
