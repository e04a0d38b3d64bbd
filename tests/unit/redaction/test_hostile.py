"""Whatever a value does when it is looked at: redaction ends soon, raises nothing, and lets no secret through."""

from __future__ import annotations

import gzip
import time
from collections import UserDict, UserString, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_kpi.redaction import is_secret_name, redact_attributes, redact_text, redact_value
from otel_kpi.sdk.otlp_values import plain

SECRET = "hunter2hunter2"
FULL_WIDTH = "".join(chr(ord(sign) + 0xFEE0) for sign in "password")


class Refuses:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError


class RefusingList(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


class RefusingDict(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError


class RefusingMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError

    def __iter__(self) -> Iterator[str]:
        return iter(("password", "other"))

    def __len__(self) -> int:
        return 2


class LyingText(str):
    """Says that it is empty, and that nothing is in it."""

    __slots__ = ()

    def lower(self) -> str:
        return ""

    def __contains__(self, part: object) -> bool:
        return False

    def __str__(self) -> str:
        return "nothing to see"

    def encode(self, encoding: str = "", errors: str = "") -> bytes:  # noqa: ARG002 - as `str` has it
        return b""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("")


class Changing:
    """Another text each time it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __str__(self) -> str:
        self.asked += 1
        return "harmless" if self.asked == 1 else f"password={SECRET}"


class Endless(Sequence[Any]):
    def __getitem__(self, index: Any) -> Any:
        return f"password={SECRET}"

    def __len__(self) -> int:
        return 1 << 60


class EndlessList(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        while True:
            yield "x"


class Colour(str, Enum):  # noqa: UP042 - as applications write it
    RED = f"password={SECRET}"


@dataclass
class Login:
    user: str
    password: str


# Made inside the test: pytest looks at its parameters.
REFUSING: dict[str, Callable[[], Any]] = {
    "object": Refuses,
    "list": lambda: RefusingList([SECRET]),
    "dictionary": lambda: RefusingDict(a=SECRET),
    "mapping": RefusingMapping,
    "in a list": lambda: [Refuses()],
    "in a dictionary": lambda: {"a": Refuses()},
    "endless": Endless,
    "endless list": EndlessList,
    "endless inside": lambda: [EndlessList(), {"a": Endless()}],
}


@pytest.mark.parametrize("name", REFUSING)
def test_value_that_refuses_or_never_ends_is_dropped_alone(name: str) -> None:
    value = REFUSING[name]()
    started = time.perf_counter()
    kept = redact_attributes({"hostile": value, "fine": "text", "number": 1})
    assert time.perf_counter() - started < 1.0
    assert (kept["fine"], kept["number"]) == ("text", 1)
    assert SECRET not in str(plain(kept["hostile"]))


UNUSUAL: dict[str, Callable[[], Any]] = {
    "text that lies": lambda: LyingText(f"password={SECRET}"),
    "changing": Changing,
    "enumeration": lambda: Colour.RED,
    "UserString": lambda: UserString(f"password={SECRET}"),
    "dataclass": lambda: Login("bob", SECRET),
    "set": lambda: {f"password={SECRET}"},
    "deque": lambda: deque([f"password={SECRET}"]),
    "UserDict": lambda: UserDict(password=SECRET),
    "frozenset": lambda: frozenset({f"token={SECRET}"}),
    "dataclass inside": lambda: {"a": [Login("bob", SECRET)]},
    "exception": lambda: ValueError(f"password={SECRET}"),
    "bytearray": lambda: bytearray(f"password={SECRET}".encode()),
    "memoryview": lambda: memoryview(f"password={SECRET}".encode()),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_value_of_an_unusual_type_is_looked_into(name: str) -> None:
    value = UNUSUAL[name]()
    kept = redact_attributes({"value": value})["value"]
    for _ in range(3):  # whoever looks at it later sees the same
        assert SECRET not in str(plain(kept))
    assert SECRET not in repr(plain(redact_value("value", [value])))


def test_numbers_of_other_libraries_stay_numbers() -> None:
    values: dict[str, Any] = {"a": Decimal("1.5"), "b": 2 + 3j, "c": True, "d": 1.5, "e": None}
    assert redact_attributes(values) is values


def test_cycle_ends() -> None:
    cycle: dict[str, Any] = {"password": SECRET, "fine": "text"}
    cycle["self"] = cycle
    cycle["list"] = [cycle, cycle, [cycle]]
    started = time.perf_counter()
    kept = redact_value("body", cycle)
    assert time.perf_counter() - started < 2.0
    assert SECRET not in repr(plain(kept))


@pytest.mark.parametrize("depth", [10, 15, 100, 10_000])
def test_secret_at_any_depth_does_not_leave(depth: int) -> None:
    value: Any = {"password": SECRET, "text": f"token={SECRET}"}
    for _ in range(depth):
        value = {"a": value, "b": [1, 2]}
    assert SECRET not in repr(plain(redact_value("body", value)))


def test_enormous_value_takes_bounded_time_and_lets_nothing_through_unseen() -> None:
    wide = {f"k{number}": f"password={SECRET}" for number in range(200_000)}
    started = time.perf_counter()
    kept = redact_value("body", wide)
    assert SECRET not in str(kept)
    text = f"{'lorem ipsum dolor ' * 200_000} password={SECRET}"
    kept_text = redact_text(text)
    assert time.perf_counter() - started < 3.0
    assert SECRET not in kept_text
    assert len(kept_text) > 900_000
    assert kept_text.endswith("[redacted]")


@pytest.mark.parametrize(
    "body",
    [
        f"password={SECRET}".encode("utf-16"),
        f"password={SECRET}".encode("utf-16-le"),
        f"password={SECRET}".encode("utf-16-be"),
        b"\xff\xfe\x00\x80" + f"password={SECRET}".encode(),
        f"pass={'ü' * 3}&password={SECRET}".encode("latin-1"),
        gzip.compress(f"password={SECRET}".encode(), mtime=0),
        b"\x00" * 1000 + f"token={SECRET}".encode() + b"\x00" * 1000,
    ],
)
def test_binary_body_is_looked_into(body: bytes) -> None:
    kept = redact_value("body", body)
    assert isinstance(kept, bytes)
    assert SECRET.encode() not in kept.replace(b"\0", b"")
    assert kept[:2] != b"\x1f\x8b"


def test_harmless_binary_stays_as_it_is() -> None:
    body = bytes(range(256))
    assert redact_value("body", body) is body


@pytest.mark.parametrize(
    "text", ["\ud800password=x", "password=\udfff", "\x00\ud83d", "é\ud800" * 200 + "token=ab"]
)
def test_broken_encoding_is_no_way_out(text: str) -> None:
    kept = redact_text(text)
    assert "=x" not in kept
    assert "token=ab" not in kept


@given(
    st.recursive(
        st.one_of(
            st.text(st.characters(), max_size=20), st.binary(max_size=20), st.integers(), st.floats(), st.none(),
            st.booleans(), st.just(SECRET).map(lambda secret: f"password={secret}"),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.tuples(inner, inner),
            st.dictionaries(st.one_of(st.text(max_size=8), st.integers(), st.binary(max_size=4), st.none()), inner, max_size=4),
        ),
        max_leaves=20,
    )
)  # fmt: skip
def test_anything_at_all_is_walked_without_an_error_and_the_same_twice(value: Any) -> None:
    once = redact_value("body", value)
    assert SECRET not in repr(once)
    assert repr(redact_value("body", once)) == repr(once)


@pytest.mark.parametrize(
    "name",
    ["PASSWORD", "PassWord", "pass-word", "pass_word", "pass.word", "user%5Fpassword", FULL_WIDTH, "MyDbPassword",
     '"password"', " password ", "password[]", "params[password]", "http.request.header.x_api_key",
     "HTTP_AUTHORIZATION", "x-amz-security-token"],
)  # fmt: skip
def test_name_is_known_in_any_case_and_spelling(name: str) -> None:
    assert is_secret_name(name)
    assert SECRET not in str(redact_attributes({name: SECRET, "b": (SECRET[:0],)}))


def test_secret_that_is_a_name_does_not_leave() -> None:
    kept = redact_value("logins", {"bob@example.com": 3, "fine": 1})
    assert "bob@" not in str(kept)
    assert kept["fine"] == 1


def test_headers_in_all_their_shapes() -> None:
    shapes: list[Any] = [
        [("authorization", SECRET), ("accept", "x")],
        [(b"authorization", SECRET.encode()), (b"accept", b"x")],
        [["x-api-key", SECRET]],
        {"authorization": [SECRET], "accept": ["x"]},
        {b"authorization": SECRET.encode()},
        ("--token", SECRET, "run"),
        ["curl", "-H", f"Authorization: Bearer {SECRET}", f"--password={SECRET}"],
    ]
    for shape in shapes:
        assert SECRET not in str(redact_value("headers", shape)), shape
