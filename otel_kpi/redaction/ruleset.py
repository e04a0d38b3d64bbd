"""The rules of one policy: which of them a text has to pass, and what is left of it."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from otel_kpi.redaction import quotes, rules, shapes
from otel_kpi.redaction.names import MARKERS, words_of
from otel_kpi.redaction.rules import Rule
from otel_kpi.redaction.shapes import REDACTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_kpi.redaction.patterns import Pattern
    from otel_kpi.redaction.policy import Policy

LONGEST = 1 << 20
"""Characters of a text that are looked at; what comes behind them does not leave."""

_SIGNS = bytes(code for code in range(128) if not chr(code).isalnum() and chr(code) not in "_-")
_CLASSES = bytes(code if code in _SIGNS else ord("a") for code in range(256))
_DIGITS = b"0123456789"
_TOKEN_RUN = b"a" * 14  # the shortest key of a provider, its prefix aside
_BASE64_RUN = b"a" * 20
_CARD_DIGITS = 13
_NUMBERS = bytes(0x30 if chr(code) in "0123456789 -" else 0x78 for code in range(256))
_CARD_RUN = b"0" * _CARD_DIGITS
_ACCOUNT_RUN, _ACCOUNT_GROUPS = b"a" * 15, b"aaaa aaaa aaaa"
_ACCOUNT_DIGITS = 6  # two for the check, and no country has fewer than four
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_OWN_SQL = (
    "select ",
    "select\n",
    "insert ",
    "update ",
    "delete ",
    "replace into",
    "merge into",
    "call ",
    " user ",
    " role ",
    " login ",
    "set password",
    "exec ",
)
_REPORTS = ("parameters: ", ")=(", "failing row", "duplicate entry")


_MEMORY_SIZE = 4096


def _marker(key: str) -> str:
    """What every spelling of a user's key has in it, digits aside."""
    words = words_of(key.replace("*", " ").replace("?", " "))
    return min(("".join(sign for sign in word if not sign.isdigit()) for word in words), key=len, default="")


class Ruleset:
    """Texts without what the rules find in them.

    Args:
        is_secret: Whether a name is a secret's, by the policy.
        policy: The decisions of the user.
        patterns: Those of the policy's patterns that can be used.
        hash_key: Key of the hash that stands for an e-mail address.
    """

    def __init__(
        self,
        is_secret: Callable[[str], bool],
        policy: Policy,
        patterns: tuple[Pattern, ...],
        hash_key: bytes,
    ) -> None:
        keys = policy.keys
        self._addresses = not policy.whole_addresses
        self._content = policy.content
        self._markers = tuple(dict.fromkeys((*MARKERS, *(_marker(key) for key in keys))))
        self._nameless: set[int] = set()
        self._named = rules.name_rules(is_secret)
        self._email = Rule("e-mail address", lambda text: shapes.with_hashed_emails(text, hash_key), "hashed")
        self._address = Rule(
            "network address", lambda text: shapes.with_short_addresses(text, private=False), "shortened"
        )
        self._client = Rule(
            "address of a client", lambda text: shapes.with_short_addresses(text, private=True), "shortened"
        )
        self._percent = Rule(
            "percent-encoded text", lambda text: shapes.without_percent_encoded(text, self._decoded)
        )
        self._base64 = Rule("Base64 text", lambda text: shapes.without_base64(text, self._decoded))
        self._further = (
            *policy.rules,
            *(Rule(f"pattern {pattern.text}", pattern.replace) for pattern in patterns),
        )

    def apply(self, text: str, *, addresses: bool = True) -> str:
        """The text without what was found; the same object when nothing was."""
        result = self._bounded(text)
        for rule in self.due(result, addresses=addresses):
            result = rule.replace(result)
        return text if result == text else result

    def client(self, text: str) -> str:
        """The same for the address of a client, which is shortened also when it is a private one."""
        return self._client.replace(self.apply(text, addresses=False))

    def steps(self, text: str, *, addresses: bool = True, client: bool = False) -> Iterator[tuple[Rule, str]]:
        """Each rule that changes the text, and the text behind it."""
        result = self._bounded(text)
        if result != text:
            yield Rule("longer than is looked at", self._bounded), result
        for rule in (*self.due(result, addresses=addresses), *((self._client,) if client else ())):
            changed = rule.replace(result)
            if changed != result:
                yield rule, changed
            result = changed

    def due(self, text: str, *, addresses: bool = True) -> list[Rule]:  # noqa: C901, PLR0912 - one question after the other, for speed
        """The rules that may find something in this text."""
        due: list[Rule] = []
        raw = text.encode("utf-8", "ignore")
        letters = raw.translate(None, _DIGITS)
        digits = len(raw) - len(letters)
        has_at = "@" in text
        if "%" in text and _ENCODED.search(text) is not None:
            due.append(self._percent)
        if has_at and "://" in text:
            due.append(rules.USER_INFORMATION)
        elif "://" in text and ":" in (tail := text.rpartition("://")[2]) and "/" not in tail:
            due.append(rules.CUT_USER_INFORMATION)
        if has_at and (":thin:" in text or ":oci:" in text):
            due.append(rules.ORACLE_USER)
        if hash(letters) not in self._nameless and self._may_name(letters):
            if "PRIVATE KEY" in text or "Private-Lines:" in text:
                due.append(rules.PRIVATE_KEY)
            due += self._named
        if "eyJ" in text:
            due.append(rules.WEB_TOKEN)
        classes = raw.translate(_CLASSES)
        if _TOKEN_RUN in classes:
            for sign, markers in shapes.TOKEN_MARKERS:
                if sign in text and any(map(text.__contains__, markers)):
                    due.append(rules.PROVIDER_TOKEN)
                    break
            if _BASE64_RUN in classes:
                due.append(self._base64)
        spaced = " " in text
        lower = text.lower() if spaced or self._further else ""
        if spaced:
            if "basic " in lower:
                due.append(rules.BASIC)
            if "-u " in text or "-user " in text:
                due.append(rules.COMMAND_USER)
            if " -p" in text or " -a" in text or "sqlplus " in text or "machine " in text:
                due.append(rules.COMMAND_PASSWORD)
        if digits >= _CARD_DIGITS and _CARD_RUN in raw.translate(_NUMBERS):
            due.append(rules.CARD)
        if digits >= _ACCOUNT_DIGITS and (_ACCOUNT_RUN in classes or _ACCOUNT_GROUPS in classes):
            due.append(rules.IBAN)
        if spaced and (digits or "'" in text or '"' in text or "(" in text):
            due += self._of_databases(lower)
        if has_at:
            due.append(self._email)
        if addresses and self._addresses and digits and (text.count(".") >= 3 or text.count(":") >= 2):  # noqa: PLR2004 - an address has as many
            due.append(self._address)
        if not self._content:
            due += quotes.due(text)
        for rule in self._further:
            if not rule.markers or any(marker in lower for marker in rule.markers):
                due.append(rule)
        return due

    def _may_name(self, letters: bytes) -> bool:
        """Whether a word that can make a name secret is in a text, which is given without its digits.

        No such word has a digit, so what is clean without them is clean with any: an address with another id in it
        is known already.
        """
        lower = letters.decode("utf-8", "ignore").lower()
        if not lower.isascii():
            lower = unicodedata.normalize("NFKC", lower)
        for marker in self._markers:
            if marker in lower:
                return True
        if len(self._nameless) >= _MEMORY_SIZE:
            self._nameless.clear()
        self._nameless.add(hash(letters))
        return False

    def _of_databases(self, lower: str) -> Iterator[Rule]:
        if any(marker in lower for marker in _REPORTS):
            yield rules.REPORT
        if any(marker in lower for marker in _OWN_SQL):
            yield rules.STATEMENT

    def _decoded(self, text: str) -> str:
        """What was encoded is looked at once; what is encoded in it again is not."""
        for rule in self.due(text):
            if rule is not self._percent and rule is not self._base64:
                text = rule.replace(text)
        return text

    @staticmethod
    def _bounded(text: str) -> str:
        if len(text) <= LONGEST:
            return text
        # Not in the middle of a word, which may be a secret that is no longer known as one.
        kept = text[:LONGEST]
        cut = max(kept.rfind(" "), kept.rfind("\n"), LONGEST - 4096)
        return f"{kept[:cut]} {REDACTED}"
