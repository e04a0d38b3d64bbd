"""The sweep: every client that the firewall turned away in a night is reported, more of them than are told apart.

`python -m kpi_system.firewall`. It reports 10,050 clients at once: all are counted, 10,000 are told apart, and about a
thousand are named in an event. What is beyond is counted, too.
"""

from ipaddress import IPv4Address

from otel_kpi import security

CLIENTS = 10_050
TOLD_APART = 10_000
WRITTEN = 2_000
"""Events that are written at most: a thousand at once, and a hundred a second for ten seconds, more than it takes."""
_FIRST = IPv4Address("198.18.0.0")  # of the block for tests of networks


def turned_away() -> list[str]:
    """Return the addresses of the night."""
    return [str(_FIRST + number) for number in range(CLIENTS)]


def main() -> None:
    """Report them."""
    for address in turned_away():
        security.suspicious(address, "firewall")
    print(f"{CLIENTS} clients reported")


if __name__ == "__main__":
    main()
