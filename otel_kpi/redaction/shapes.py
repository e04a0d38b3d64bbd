"""What is known by its shape alone: cards, accounts, keys of providers, e-mail and network addresses.

Pure functions from a text to a text. A shape that ordinary numbers and names also have is checked by more than a
pattern: cards by issuer and Luhn's digit, accounts by country and remainder, so that trace ids, timestamps, UUIDs,
versions and order numbers stay readable.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Callable

REDACTED = "[redacted]"

# --- payment cards

_CARD = re.compile(
    r"(?<![A-Za-z0-9.\-])(?:\d{13,19}|\d{4}(?P<four>[ \-])\d{4}(?P=four)\d{4}(?P=four)\d{1,7}"
    r"|3\d{3}(?P<six>[ \-])\d{6}(?P=six)\d{4,5})(?![A-Za-z0-9]|[.\-]\d)"
)
# Issuers by their first digits, and the lengths of their numbers (ISO/IEC 7812, as issuers publish them).
_ISSUERS = (
    (4, 4, (13, 16, 19)), (51, 55, (16,)), (2221, 2720, (16,)), (34, 34, (15,)), (37, 37, (15,)),
    (300, 305, (14,)), (36, 36, (14,)), (38, 39, (14,)), (6011, 6011, (16, 19)), (644, 659, (16, 19)),
    (3528, 3589, (16, 17, 18, 19)), (62, 62, (16, 17, 18, 19)), (50, 50, (16,)), (56, 58, (16,)), (67, 67, (16,)),
)  # fmt: skip


def is_card(digits: str) -> bool:
    """Whether these digits are the number of a payment card: issuer, length and check digit."""
    length = len(digits)
    if not any(
        length in lengths and low <= int(digits[: len(str(low))]) <= high for low, high, lengths in _ISSUERS
    ):
        return False
    total = 0
    for position, digit in enumerate(reversed(digits)):
        number = int(digit)
        if position % 2:
            number = number * 2 - 9 if number > 4 else number * 2  # noqa: PLR2004 - Luhn
        total += number
    return total % 10 == 0 and len(set(digits)) > 1


def without_cards(text: str) -> str:
    """The text without payment card numbers."""
    return _CARD.sub(lambda m: REDACTED if is_card(re.sub(r"\D", "", m[0])) else m[0], text)


# --- bank accounts

# Length of an IBAN by country (ISO 13616 registry).
_IBAN_COUNTRIES = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 "
    "LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 "
    "QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
_IBAN_LENGTHS = {code[:2]: int(code[2:]) for code in _IBAN_COUNTRIES.split()}
_IBAN = re.compile(r"(?<![A-Za-z0-9])(?P<country>[A-Za-z]{2})\d{2}(?=[ \-]?[A-Za-z0-9])")


def without_ibans(text: str) -> str:
    """The text without international bank account numbers."""
    pieces: list[str] = []
    done = 0
    for match in _IBAN.finditer(text):
        if match.start() < done:
            continue
        length = _IBAN_LENGTHS.get(match["country"].upper())
        end = _end_of_account(text, match.start(), length) if length is not None else None
        if end is not None:
            pieces += (text[done : match.start()], REDACTED)
            done = end
    return "".join((*pieces, text[done:])) if pieces else text


def _end_of_account(text: str, start: int, length: int) -> int | None:
    """Where the account number that begins here ends; None when its remainder says that it is none."""
    signs: list[str] = []
    position = start
    while position < len(text) and len(signs) < length:
        sign = text[position]
        if sign.isascii() and sign.isalnum():
            signs.append(sign)
        elif sign not in " -" or not (text[position + 1 : position + 2].isalnum()):
            return None
        position += 1
    following = text[position : position + 1]
    if len(signs) < length or following.isalnum():
        return None
    account = "".join(signs[4:] + signs[:4])
    return position if int("".join(str(int(sign, 36)) for sign in account)) % 97 == 1 else None


# --- keys and tokens of providers

# A piece of each, in the case in which it is written, looked for first; those with a sign in them only behind it.
TOKEN_MARKERS = (
    ("_", ("gh", "sk_", "rk_", "whsec_", "npm_", "hf_", "dop_v1_", "shp", "lin_api_", "sntry", "gsk_", "r8_", "figd_",
           "glsa_", "lsv2_", "pcsk_", "github_pat_")),
    ("-", ("glpat-", "xox", "xapp-", "sk-", "pypi-", "AGE-SECRET-KEY", "xkeysib-", "NRAK-", "pat-", "sq0", "GOCSPX-",
           "key-", "pplx-", "xai-", "PMAK-", "nvapi-", "tvly-")),
    (".", ("ya29.", "SG.", "hvs.", "dp.", "hooks.slack.com", "/webhooks/")),
    ("", ("AKIA", "ASIA", "AIza", "dapi", "ATATT", "Q~", "SK", ":AA", "AKCp")),
)  # fmt: skip
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255}|glpat-[\w\-]{16,}"
    r"|xox[abeprs]-[A-Za-z0-9\-]{10,}|xapp-[A-Za-z0-9\-]{10,}"
    r"|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}"
    r"|sk-(?:[A-Za-z0-9]+-)*[\w\-]{20,}|AIza[\w\-]{30,}|ya29\.[\w\-]{20,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[\w\-]{32,}|SG\.[\w\-]{16,}\.[\w\-]{16,}|hf_[A-Za-z0-9]{30,}"
    r"|dop_v1_[a-f0-9]{32,}|shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}|AGE-SECRET-KEY-1[A-Z0-9]{20,}"
    r"|xkeysib-[a-f0-9]{32,}[\w\-]*|hvs\.[\w\-]{20,}|dapi[a-f0-9]{32}|lin_api_[A-Za-z0-9]{30,}"
    r"|ATATT[\w\-=]{30,}|sntry[su]_[\w+/=\-]{30,}|NRAK-[A-Z0-9]{20,}|gsk_[A-Za-z0-9]{30,}|r8_[A-Za-z0-9]{30,}"
    r"|pat-[a-z0-9]{2,4}-[0-9a-f\-]{30,}|sq0(?:atp|csp)-[\w\-]{20,}"
    r"|GOCSPX-[\w\-]{20,}|[\w~.\-]{3}\dQ~[\w~.\-]{31,}|SK[0-9a-f]{32}(?!\w)|key-[0-9a-f]{32}(?!\w)"
    r"|\d{8,10}:AA[\w\-]{30,}|figd_[\w\-]{20,}|pplx-[A-Za-z0-9]{32,}|xai-[A-Za-z0-9]{40,}|glsa_\w{20,}"
    r"|PMAK-[0-9a-f\-]{40,}|dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.\-]{30,}|tskey-[a-z]{3,8}-[\w\-]{16,}|AKCp[A-Za-z0-9]{50,}"
    r"|nvapi-[\w\-]{40,}|lsv2_(?:pt|sk)_\w{30,}|pcsk_\w{30,}|tvly-[\w\-]{20,}"
    r"|hooks\.slack\.com/(?:services|workflows|triggers)/[\w/+\-]{16,}|discord(?:app)?\.com/api/webhooks/\d+/[\w\-]{20,}"
    r")"
)
_JWT = re.compile(r"(?<![A-Za-z0-9])eyJ[\w\-]{8,}\.[\w\-]+(?:\.[\w\-]*){0,3}")


def without_tokens(text: str) -> str:
    """The text without keys and tokens that their provider's prefix gives away."""
    return _TOKEN.sub(REDACTED, text)


def without_web_tokens(text: str) -> str:
    """The text without JSON web tokens, signed or encrypted."""
    return _JWT.sub(REDACTED, text)


# --- e-mail addresses

_EMAIL = re.compile(
    r"(?<![\w.+\-])(?P<local>[\w.+\-]{1,64})@(?P<domain>(?:[\w\-]{1,63}\.){1,8}(?!(?:service|socket|timer|mount|slice)\b)[^\W\d_]{2,24})(?![\w@])"
)
# Accounts of machines: `git@github.com:org/repository`.
_MACHINES = frozenset({"git", "hg"})


def hashed(text: str, key: bytes) -> str:
    """Twelve hexadecimal digits that are the same for the same text and key, in any process."""
    return hashlib.blake2b(
        text.strip().lower().encode("utf-8", "replace"), digest_size=6, key=key
    ).hexdigest()


def with_hashed_emails(text: str, key: bytes) -> str:
    """The text with `email:<hash>` for each e-mail address."""

    def replace(match: re.Match[str]) -> str:
        if match["local"] in _MACHINES:
            return match[0]
        return f"email:{hashed(match[0], key)}"

    return _EMAIL.sub(replace, text)


# --- network addresses

_IPV4 = re.compile(r"(?<![\w.\-/@])(?P<net>(?:\d{1,3}\.){3})(?P<host>\d{1,3})(?![\w\-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){1,7}[0-9A-Fa-f:]{0,35}(?![\w])")
_OWN = (
    re.compile(r"(?:0|10|127|192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01])|255)\.", re.ASCII),
    re.compile(r"(?:fe[89ab]|f[cd]|ff|::)", re.ASCII | re.IGNORECASE),
)
_BEFORE_VERSION = re.compile(r"(?:version|release|==|>=|<=|\bv)[\s\"':=]{0,3}\Z", re.IGNORECASE)


def with_short_addresses(text: str, *, private: bool) -> str:
    """The text with /24 of each IPv4 and /48 of each IPv6 address.

    Args:
        text: Any text; a server behind `://` or `@` keeps its address.
        private: Shorten private addresses too; loopback stays whole in either case.
    """

    def four(match: re.Match[str]) -> str:
        address = match[0]
        if any(int(part) > 255 for part in address.split(".")):  # noqa: PLR2004 - an octet
            return address
        if address.startswith("127.") or (not private and _OWN[0].match(address)):
            return address
        if _BEFORE_VERSION.search(text[max(0, match.start() - 12) : match.start()]):
            return address
        return f"{match['net']}0"

    if text.count(".") >= 3:  # noqa: PLR2004 - the dots of an address
        text = _IPV4.sub(four, text)
    if text.count(":") >= 2:  # noqa: PLR2004 - the fewest in an IPv6 address
        text = _IPV6.sub(lambda match: _six(match[0], private=private), text)
    return text


def _six(address: str, *, private: bool) -> str:
    trailing = ":" if address.endswith(":") and not address.endswith("::") else ""
    candidate = address[: len(address) - len(trailing)]
    try:
        packed = socket.inet_pton(socket.AF_INET6, candidate)
    except (OSError, ValueError):
        return address
    # Outside 2000::/3 nothing is routed; `a::b` in a text is rather a name of C++ than an address.
    public = packed[0] >> 5 == 1
    if not public and not (private and packed[0] & 0xFE == 0xFC):  # noqa: PLR2004 - fc00::/7
        return address
    return socket.inet_ntop(socket.AF_INET6, packed[:6] + bytes(10)) + trailing


# --- encoded texts

_RUN = re.compile(r"[^\s\"'<>&]+")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_\-])[A-Za-z0-9+/_\-]{20,65536}={0,2}")
_ENCODINGS = 3  # times that a text is decoded: an address in an address in an address


def without_percent_encoded(text: str, redact: Callable[[str], str]) -> str:
    """The text with each percent-encoded part as `redact` leaves it decoded."""

    def replace(match: re.Match[str]) -> str:
        run = match[0]
        if "%" not in run or _PERCENT.search(run) is None:
            return run
        decoded = run
        for _ in range(_ENCODINGS):
            further = unquote(decoded)
            if further == decoded:
                break
            decoded = further
            clean = redact(decoded)
            if clean != decoded:
                return quote(clean, safe="/:?#[]@!$&'()*+,;=%")
        return run

    return _RUN.sub(replace, text)


def without_base64(text: str, redact: Callable[[str], str]) -> str:
    """The text without those Base64 parts in which `redact` finds something."""

    def replace(match: re.Match[str]) -> str:
        run = match[0].rstrip("=")
        whole = len(run) // 4 * 4
        # A part that was cut off in the middle is still readable as far as it goes.
        decoded = base64.b64decode(run[:whole].translate(_URL_SAFE))
        if len(run) - whole > 1:
            decoded += base64.b64decode(run[whole:].translate(_URL_SAFE) + "=" * (whole + 4 - len(run)))
        plain = decoded.decode("utf-8", "replace")
        if plain.count("\ufffd") * 8 > len(plain):
            return match[0]  # a picture, a hash, a name
        return match[0] if redact(plain) == plain else REDACTED

    return _BASE64.sub(replace, text)


_URL_SAFE = str.maketrans("-_", "+/")
