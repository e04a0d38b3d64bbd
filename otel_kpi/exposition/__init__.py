"""What was measured, for who asks over HTTP: Prometheus text, a summary, a page.

The figures are those of all processes of the service that were started as one: see docs/exposition.md.
"""

from __future__ import annotations

from otel_kpi.exposition.answer import Answer

__all__ = ["Answer", "activate", "metrics", "monitoring_page", "summary"]

_PLAIN = "text/plain; charset=utf-8"


def activate() -> None:
    """Have this process leave its figures for the other workers of its service; before they fork, or after.

    Whoever adds endpoints calls it. Never raises.
    """
    from otel_kpi.exposition import participation

    participation.activate()


def metrics(accept: str | None = None) -> Answer:
    """All series, as Prometheus text, or as OpenMetrics with exemplars where that is preferred.

    Args:
        accept: The header `Accept` of the request.

    Returns:
        200; 503 with a sentence where nothing can be read.
    """
    from otel_kpi.exposition import participation, text

    try:
        totals = participation.totals()
    except LookupError as error:
        return Answer(503, _PLAIN, f"no metrics: {error}\n".encode())
    openmetrics = text.wants_openmetrics(accept)
    body = text.written(totals, openmetrics=openmetrics)
    return Answer(200, text.OPENMETRICS if openmetrics else text.TEXT, body)


def summary() -> Answer:
    """The most asked-for figures as JSON; what nobody measured is null.

    Returns:
        200; 503 where nothing can be read, with `success` false and the reason.
    """
    from otel_kpi.exposition import participation, summary_json
    from otel_kpi.exposition.figures import figures_of

    try:
        totals = participation.totals()
    except LookupError as error:
        return Answer(503, "application/json", summary_json.refused(str(error)))
    return Answer(200, "application/json", summary_json.written(figures_of(totals, participation.prefix())))


def monitoring_page() -> Answer:
    """The same as a page that renews itself.

    Returns:
        200, or 503 with a page that says why there is nothing to see.
    """
    from otel_kpi.exposition import page, participation
    from otel_kpi.exposition.figures import figures_of

    try:
        totals = participation.totals()
    except LookupError as error:
        return Answer(503, page.HTML, page.refused(str(error)))
    figures = figures_of(totals, participation.prefix())
    return Answer(200, page.HTML, page.written(figures, totals))
