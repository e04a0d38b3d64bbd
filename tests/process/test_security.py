"""Refusals of a running Django project: exact totals, and addresses in security events and nowhere else."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from support.children import RUN, environment, free_port, get, running, stop
from support.receiver import Receiver, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

HERE = Path(__file__).parent
CLIENT = "203.0.113.77"
KEY = "a secret of at least thirty-two bytes"

SERVERS: dict[str, Callable[[int], list[str]]] = {
    "gunicorn": lambda port: ["gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "2", "security_office"],
    "uvicorn": lambda port: ["uvicorn", "--port", str(port), "--lifespan", "off", "security_office:application"],
}  # fmt: skip


def totals(receiver: Receiver, metric: str) -> dict[tuple[str, ...], int]:
    """The last value of each series, by its labels in order of their names; without those that stayed at 0."""
    last: dict[tuple[str, ...], int] = {}
    for point in receiver.points:
        if point.metric == metric:
            labels = tuple(str(value) for _, value in sorted(point.attributes.items()))
            last[labels] = int(point.item.as_int or point.item.as_double)
    return {labels: value for labels, value in last.items() if value}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in [*value.keys(), *value.values()] if isinstance(value, dict) else value:
            yield from texts(each)


class Office:
    """A client of the project, and what it expects to have been counted."""

    def __init__(self, url: str, sessions: contextlib.ExitStack) -> None:
        self.url = url
        self._sessions = sessions
        self.attempts: Counter[tuple[str, ...]] = Counter()
        self.intrusions: Counter[tuple[str, ...]] = Counter()
        self.limits: Counter[tuple[str, ...]] = Counter()

    def session(self) -> httpx.Client:
        """A browser with cookies of its own."""
        return self._sessions.enter_context(httpx.Client(base_url=self.url))

    def ask(self, method: str, path: str, status: int, *expected: str, **options: Any) -> httpx.Response:
        """One request in a session of its own, or of `client`."""
        client: httpx.Client = options.pop("client", None) or self.session()
        headers = {"X-Forwarded-For": CLIENT, **options.pop("headers", {})}
        answer = client.request(method, path, headers=headers, **options)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:300])
        if expected:
            self.attempts[tuple(reversed(expected))] += 1  # the labels in order of their names
        return answer

    def signed_in(self, name: str) -> httpx.Client:
        client = self.session()
        form = {"username": name, "password": "right", "csrfmiddlewaretoken": client.get("/token").text}
        self.ask("POST", "/enter", 200, "password", "success", data=form, client=client)
        return client

    def passwords_and_sessions(self) -> None:
        for name, reason in (
            ("ada", "invalid_credentials"),
            ("nobody", "invalid_credentials"),
            ("mallory", "permission_denied"),
        ):
            client = self.session()
            form = {"username": name, "password": "wrong", "csrfmiddlewaretoken": client.get("/token").text}
            self.ask("POST", "/enter", 401, "password", "failure", reason, data=form, client=client)
        client = self.session()
        form = {"username": "bob", "password": "right", "csrfmiddlewaretoken": client.get("/token").text}
        self.ask("POST", "/enter", 401, "password", "failure", "inactive", data=form, client=client)
        self.ask("POST", "/enter", 403, "session", "failure", "csrf", data={"username": "ada"})
        self.ask("GET", "/denied", 403, "session", "failure", "permission_denied")
        self.ask("GET", "/who", 200)

        ada = self.signed_in("ada")
        assert self.ask("GET", "/who", 200, client=ada).text == "ada"
        self.ask("GET", "/api/session", 200, "session", "success", client=ada)
        self.ask("POST", "/api/session", 403, "session", "failure", "csrf", client=ada)
        self.ask("GET", "/change", 200)
        assert (
            self.ask("GET", "/who", 200, "session", "failure", "invalid_session", client=ada).text
            == "AnonymousUser"
        )
        eve = self.signed_in("eve")
        self.ask("GET", "/deactivate", 200)
        self.ask("GET", "/who", 200, "session", "failure", "inactive", client=eve)

    def apis(self) -> None:
        self.ask("GET", "/api/session", 403, "session", "failure", "missing_credentials")
        self.ask("GET", "/api/basic", 200, "basic", "success", auth=("ada", "right"))
        self.ask("GET", "/api/basic", 401, "basic", "failure", "invalid_credentials", auth=("ada", "wrong"))
        self.ask("GET", "/api/basic", 401, "basic", "failure", "missing_credentials")
        key = {"X-Key": "right"}
        self.ask("GET", "/api/key", 200, "api_key", "success", headers=key)
        self.ask(
            "GET", "/api/key", 401, "api_key", "failure", "invalid_credentials", headers={"X-Key": "wrong"}
        )
        self.ask("GET", "/api/never", 403, "api_key", "failure", "permission_denied", headers=key)
        good, old = self.ask("GET", "/issue", 200).text, self.ask("GET", "/issue?expired", 200).text
        self.ask("GET", "/api/jwt", 200, "jwt", "success", headers={"Authorization": f"Bearer {good}"})
        self.ask(
            "GET", "/api/jwt", 401, "jwt", "failure", "expired", headers={"Authorization": f"Bearer {old}"}
        )
        forged = {"Authorization": f"Bearer {good[:-6]}AAAAAA"}
        self.ask("GET", "/api/jwt", 401, "jwt", "failure", "invalid_signature", headers=forged)
        self.ask("GET", "/api/jwt", 401, "jwt", "failure", "missing_credentials")
        self.ask(
            "POST", "/api/obtain", 200, "password", "success", json={"username": "ada", "password": "right"}
        )
        self.ask(
            "POST", "/api/obtain", 401, "password", "failure", "invalid_credentials",
            json={"username": "ada", "password": "wrong"},
        )  # fmt: skip
        self.ask("POST", "/api/refresh", 401, "jwt", "failure", "invalid_token", json={"refresh": "nonsense"})

    def attacks(self) -> None:
        self.ask("GET", "/who", 400, headers={"Host": "evil.example"})
        self.intrusions[("disallowed_host",)] += 1
        self.ask("GET", "/escape", 400)
        self.intrusions[("path_traversal",)] += 1
        self.ask("GET", "/own", 400)
        self.intrusions[("sql_injection",)] += 1
        client = self.session()
        headers = {"X-CSRFToken": client.get("/token").text}
        self.ask("POST", "/upload", 400, content=b"x" * 2000, headers=headers, client=client)
        self.intrusions[("oversized_request",)] += 1

    def too_many(self) -> None:
        for status in (200, 200, 403, 403):
            self.ask("GET", "/search", status)
            self.limits[("search", "allowed" if status == 200 else "limited")] += 1
        for status in (200, 200, 429):
            self.ask("GET", "/api/reports", status)
            self.limits[("reports", "allowed" if status == 200 else "limited")] += 1
        for status in (200, 429):
            self.ask("GET", "/api/anonymous", status)
            self.limits[("anon", "allowed" if status == 200 else "limited")] += 1
        # Whoever has a key is nothing for a limit of those who have none.
        self.ask("GET", "/api/anonymous", 200, "api_key", "success", headers={"X-Key": "right"})


@contextlib.contextmanager
def office(server: str, receiver: Receiver, directory: Path) -> Generator[Office]:
    port = free_port()
    env = environment(
        receiver.url,
        OTEL_SERVICE_NAME=f"office-{server}",
        OFFICE_DB=str(directory / "office.sqlite"),
        PYTHONPATH=str(HERE),
        PYTHONWARNINGS="ignore",
        **({"OFFICE_ASGI": "1"} if server == "uvicorn" else {}),
    )
    with (
        running([*RUN, *SERVERS[server](port)], env, directory) as process,
        contextlib.ExitStack() as sessions,
    ):
        try:
            assert get(f"http://127.0.0.1:{port}/who") == 200
            yield Office(f"http://127.0.0.1:{port}", sessions)
        finally:
            output = stop(process)
    assert "otel_kpi" not in output


@pytest.mark.parametrize("server", SERVERS)
def test_each_refusal_of_a_django_project_is_counted_once_with_its_reason(
    server: str, tmp_path: Path
) -> None:
    with Receiver() as receiver:
        with office(server, receiver, tmp_path) as client:
            client.passwords_and_sessions()
            client.apis()
            client.attacks()
            client.too_many()
        attempts = totals(receiver, "kpi.security.auth.attempts")
        assert attempts == client.attempts
        failures = Counter[tuple[str, ...]]()
        for labels, number in attempts.items():
            if len(labels) == 3:
                failures[labels[:1]] += number
        assert totals(receiver, "django.auth.failures") == failures
        assert totals(receiver, "kpi.security.intrusion_attempts") == client.intrusions
        assert totals(receiver, "kpi.security.rate_limit.requests") == client.limits
        assert totals(receiver, "kpi.security.suspicions") == {("honeypot",): 1}
        assert totals(receiver, "kpi.security.suspicious_clients") == {(): 1}
        assert totals(receiver, "kpi.security.events.dropped") == {}

        events = Counter(
            log.item.event_name for log in receiver.logs if log.item.event_name.startswith("security.")
        )
        assert events == {
            "security.authentication": sum(failures.values()),
            "security.intrusion": sum(client.intrusions.values()),
            "security.rate_limit": sum(number for labels, number in client.limits.items() if labels[1] == "limited"),
            "security.suspicion": 1,
        }  # fmt: skip
        requests = {span.item.trace_id for span in receiver.spans}
        for log in receiver.logs:
            if log.item.event_name.startswith("security."):
                # uvicorn believes the header of a proxy on the same machine.
                assert log.attributes["client.address"] == (CLIENT if server == "uvicorn" else "127.0.0.1")
                assert log.attributes["http.request.header.x-forwarded-for"] == [CLIENT]
                if log.attributes.get("kpi.security.intrusion.kind") != "disallowed_host":
                    assert (
                        log.item.trace_id in requests
                    )  # that one ends before upstream's middleware has a span
        elsewhere = [
            *(text for span in receiver.spans for text in (span.item.name, *texts(span.attributes))),
            *(text for point in receiver.points for text in texts(point.attributes)),
            *(
                text
                for log in receiver.logs
                if not log.item.event_name.startswith("security.")
                for text in (log.item.body.string_value, *texts(plain(log.item.attributes)))
            ),
        ]
        assert [text for text in elsewhere if CLIENT in text] == []


def test_refusals_of_a_fastapi_application_reach_the_receiver_with_whole_addresses(tmp_path: Path) -> None:
    def token(key: str, **claims: Any) -> dict[str, str]:
        made = jwt.encode({"sub": "ada"} | claims, key, "HS256")
        return {"Authorization": f"Bearer {made}", "X-Forwarded-For": CLIENT}

    port = free_port()
    with Receiver() as receiver:
        env = environment(receiver.url, OTEL_SERVICE_NAME="desk", PYTHONPATH=str(HERE))
        command = [*RUN, "uvicorn", "--port", str(port), "security_desk:app"]
        with (
            running(command, env, tmp_path) as process,
            httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
        ):
            assert get(f"http://127.0.0.1:{port}/login") == 200
            for headers in (
                token(KEY),
                token("k" * 40),
                token("k" * 40),
                token(KEY, exp=1),
                {"X-Forwarded-For": CLIENT},
            ):
                client.get("/orders", headers=headers)
            for _ in range(3):
                client.get("/login", headers={"X-Forwarded-For": CLIENT})
            stop(process)
        assert totals(receiver, "kpi.security.auth.attempts") == {
            ("success", "jwt"): 1,
            ("invalid_signature", "failure", "jwt"): 2,
            ("expired", "failure", "jwt"): 1,
            ("missing_credentials", "failure", "oauth2"): 1,
        }
        assert totals(receiver, "kpi.security.rate_limit.requests") == {
            ("2 per 1 hour", "allowed"): 3,
            ("2 per 1 hour", "limited"): 1,
        }
        assert totals(receiver, "django.auth.failures") == {}
        events = [log for log in receiver.logs if log.item.event_name.startswith("security.")]
        assert Counter(log.item.body.string_value for log in events) == {
            f"Auth failure: jwt, invalid_signature from {CLIENT}": 2,
            f"Auth failure: jwt, expired from {CLIENT}": 1,
            f"Auth failure: oauth2, missing_credentials from {CLIENT}": 1,
            f"Rate limit reached: 2 per 1 hour from {CLIENT}": 1,
        }
        servers = {span.item.trace_id: span.attributes.get("client.address") for span in receiver.spans}
        assert {servers[log.item.trace_id] for log in events} == {"203.0.113.0"}
