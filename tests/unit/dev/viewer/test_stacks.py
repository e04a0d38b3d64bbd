"""Which lines of a stack are the application's."""

from __future__ import annotations

from otel_kpi.dev.viewer.stacks import stack_lines

PYTHON = """Traceback (most recent call last):
  File "/app/shop/pay.py", line 7, in pay
    charge(order)
  File "/venv/lib/python3.11/site-packages/httpx/_client.py", line 10, in send
    raise error
httpx.ConnectError: refused
"""
JAVA = """java.lang.IllegalStateException: no
\tat java.base/java.util.Objects.check(Objects.java:1)
\tat com.shop.Pay.charge(Pay.java:7)
\tat org.springframework.web.Servlet.go(Servlet.java:2)
"""
GO = """goroutine 1 [running]:
main.charge(0x1)
\t/app/pay.go:12 +0x1d
"""


def test_python_s_own_lines_are_told_from_libraries() -> None:
    found = stack_lines(PYTHON, "/app/shop/pay.py in pay")
    assert [line.own for line in found] == [True, True, True, False, False, True]
    assert [line.text for line in found if line.place] == ['  File "/app/shop/pay.py", line 7, in pay']


def test_other_languages_are_read_as_well() -> None:
    found = stack_lines(JAVA, "com.shop.Pay.charge(Pay.java)")
    assert [line.own for line in found] == [True, False, True, False]
    assert [line.text for line in stack_lines(GO, "/app/pay.go in main.charge") if line.place] == [
        "\t/app/pay.go:12 +0x1d"
    ]


def test_the_innermost_of_the_same_place_is_marked_once() -> None:
    found = stack_lines(PYTHON + PYTHON, "/app/shop/pay.py in pay")
    assert [at for at, line in enumerate(found) if line.place] == [7]


def test_nothing_and_too_much_are_shown_as_far_as_they_go() -> None:
    assert stack_lines("", "") == []
    found = stack_lines("\n".join(str(at) for at in range(9_000)), "x in y")
    assert len(found) == 2_001
    assert (found[0].text, found[-1].text) == ("0", "8999")
    assert "7000 lines" in found[1_000].text
