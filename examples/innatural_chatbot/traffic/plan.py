"""What there will be to see, series by series, under both names that each has in Prometheus."""

from collections import Counter, defaultdict
from http import HTTPStatus
from typing import Any, Self

PREFIX = "innatural_chatbot"

Labels = tuple[tuple[str, str], ...]
"""In order of their names, without those that every series has."""


def labels(**values: str) -> Labels:
    """The labels of one series."""
    return tuple(sorted(values.items()))


class Plan:
    """Totals by series and labels; a histogram is its `_count`."""

    def __init__(self) -> None:
        self.series: dict[str, Counter[Labels]] = defaultdict(Counter)
        self.series[f"{PREFIX}_db_connections"][()] = 0  # none is in use when nobody asks

    def add(self, other: "Plan") -> Self:
        """Add what another plan has."""
        for name, found in other.series.items():
            for key, amount in found.items():
                self.series[name][key] += amount
        return self

    def both(
        self, older: tuple[str, dict[str, str]], stable: tuple[str, dict[str, str]], amount: int = 1
    ) -> Self:
        """Something that has two names."""
        self.series[f"{PREFIX}_{older[0]}"][labels(**older[1])] += amount
        self.series[stable[0]][labels(**stable[1])] += amount
        return self

    # --- what follows from a request, in the words of the service

    def request(self, method: str, route: str, status: int) -> Self:
        """A request was answered."""
        found = {"method": method, "route": route, "status_code": str(status)}
        self.series[f"{PREFIX}_http_requests_total"][labels(**found)] += 1
        self.series[f"{PREFIX}_http_request_duration_seconds_count"][labels(**found)] += 1
        return self

    def statement(self, operation: str) -> Self:
        """A statement ran."""
        self.series[f"{PREFIX}_db_query_duration_seconds_count"][labels(operation=operation)] += 1
        return self

    def redis(self, command: str) -> Self:
        """A command went to Redis."""
        found = {"operation": command, "status": "success"}
        self.series[f"{PREFIX}_redis_operations_total"][labels(**found)] += 1
        return self

    def session(self, change: int) -> Self:
        """A session began, or ended."""
        return self.both(("active_sessions", {}), ("kpi_chat_sessions_active", {}), change)

    def message(self, role: str, language: str) -> Self:
        """Somebody spoke."""
        return self.both(
            ("messages_total", {"role": role, "language": language}),
            ("kpi_chat_messages_total", {"kpi_chat_role": role, "kpi_chat_language": language}),
        )

    def ai_request(self, model: str, status: str) -> Self:
        """The model was asked."""
        found = {"model": model, "status": status}
        self.series[f"{PREFIX}_ai_request_duration_seconds_count"][labels(**found)] += 1
        return self

    def tokens(self, model: str, prompt: int, completion: int) -> Self:
        """The model took and gave tokens."""
        for kind, amount in (("prompt", prompt), ("completion", completion)):
            self.series[f"{PREFIX}_ai_tokens_total"][labels(model=model, type=kind)] += amount
        return self

    def recommendation(self) -> Self:
        """A product was recommended."""
        return self.both(
            ("product_recommendations_total", {}), ("kpi_chat_product_recommendations_total", {})
        )

    def feedback(self, rating: str) -> Self:
        """A user had an opinion."""
        return self.both(
            ("user_feedback_total", {"rating": rating}),
            ("kpi_chat_feedback_total", {"kpi_chat_feedback_rating": rating}),
        )

    def rate_limit_hit(self) -> Self:
        """A sender was turned away."""
        return self.both(("rate_limit_hits_total", {}), ("kpi_chat_rate_limit_hits_total", {}))

    def validation_error(self, kind: str) -> Self:
        """What was sent could not be accepted."""
        return self.both(
            ("validation_errors_total", {"type": kind}),
            ("kpi_chat_validation_errors_total", {"error_type": kind}),
        )

    def error(self, kind: str, severity: str) -> Self:
        """The service reported an error."""
        return self.both(
            ("errors_total", {"type": kind, "severity": severity}),
            ("kpi_chat_errors_total", {"error_type": kind, "severity": severity}),
        )

    # --- as the summary says it

    def summary(self) -> dict[str, Any]:
        """The figures of `/api/metrics/summary`, without averages, which nobody can plan."""
        requests = self._older("http_requests_total")
        messages, errors = self._older("messages_total"), self._older("errors_total")
        good = sum(
            count for key, count in requests.items() if int(dict(key)["status_code"]) < HTTPStatus.BAD_REQUEST
        )
        return {
            "requests": {"total": requests.total(), "success": good, "errors": requests.total() - good},
            "sessions": {"active": self._older("active_sessions").total()},
            "messages": {
                "total": messages.total(),
                "byRole": _by(messages, "role"),
                "byLanguage": _by(messages, "language"),
            },
            "ai": {
                "requests": self._older("ai_request_duration_seconds_count").total(),
                "tokensUsed": self._older("ai_tokens_total").total(),
            },
            "database": {"connections": 0},
            "errors": {"total": errors.total(), "byType": _by(errors, "type")},
        }

    def _older(self, name: str) -> Counter[Labels]:
        return self.series.get(f"{PREFIX}_{name}", Counter())


def _by(found: Counter[Labels], name: str) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for key, amount in found.items():
        sums[dict(key)[name]] += amount
    return dict(sums)
