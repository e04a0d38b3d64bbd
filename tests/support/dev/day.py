"""Traces of a shop with an assistant and a nightly pipeline: what goes on in a few seconds, span by span."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from support.dev.made import (
    CLIENT,
    CONSUMER,
    INTERNAL,
    MILLISECOND,
    PRODUCER,
    SECOND,
    SERVER,
    attributes,
    link,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.dev.telemetry import Span, Value
    from support.dev.made import Made

TENANTS: Final = ("acme", "globex", "initech", "umbrella", "hooli")
FEATURES: Final = ("assistant", "summary", "search", "translate")
MODELS: Final = (
    ("openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", "0.15", "0.6", "USD"),
    ("openai", "gpt-4o", "gpt-4o-2024-08-06", "2.5", "10", "USD"),
    ("anthropic", "claude-sonnet-4-6", "claude-sonnet-4-6", "3", "15", "USD"),
    ("mistral_ai", "mistral-large-latest", "mistral-large-2411", "1.8", "5.4", "EUR"),
    ("openai", "house-model", "house-model", "", "", ""),  # nobody knows its price
)
"""Provider, model asked for, model that answered, price of a million tokens in and out, currency."""
PIPELINES: Final = ("marketing", "orders", "customers")
_STACK: Final = (
    '  File "/app/payments/charge.py", line 88, in charge\n    answer = client.post(url, json=body)\n'
    '  File "/app/payments/client.py", line 31, in post\n    raise CardDeclined(answer.reason)\n'
)
_ETL_STACK: Final = '  File "/app/etl/load.py", line 140, in load\n    connection.execute(statement)\n'
_ASGI, _HTTPX, _SQL = (
    f"opentelemetry.instrumentation.{name}" for name in ("fastapi", "httpx", "sqlalchemy")
)  # fmt: skip


def served(  # noqa: PLR0913, PLR0917 - what such a span says
    made: Made, service: str, method: str, route: str, parent: Span | None, start_ns: int, duration_ns: int,
    status: int = 200, **more: Value,
) -> Span:  # fmt: skip
    tenant = made.draw.choice(TENANTS)
    span = made.span(
        service, _ASGI, f"{method} {route}", SERVER, parent, start_ns, duration_ns,
        {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "url.path": route.replace("{id}", str(made.draw.randrange(10_000))),
            "url.scheme": "http",
            "server.address": f"{service}.local",
            "server.port": 8000,
            "client.address": f"10.0.{made.draw.randrange(8)}.0",
            "network.protocol.version": "1.1",
            "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0",
            "kpi.tenant": tenant,
            "user.hash": f"{made.draw.randrange(2_000):016x}",
            **more,
        },
    )  # fmt: skip
    if status >= 500:
        span.status = 2
    return span


def called(  # noqa: PLR0913, PLR0917 - what such a span says
    made: Made,
    service: str,
    to: str,
    method: str,
    path: str,
    parent: Span,
    start_ns: int,
    duration_ns: int,
    status: int = 200,
) -> Span:
    span = made.span(
        service, _HTTPX, method, CLIENT, parent, start_ns, duration_ns,
        {
            "http.request.method": method,
            "url.full": f"http://{to}.local:8000{path}",
            "server.address": f"{to}.local",
            "server.port": 8000,
            "http.response.status_code": status,
            "network.protocol.version": "1.1",
        },
    )  # fmt: skip
    if status >= 400:
        span.status = 2
    return span


def queried(  # noqa: PLR0913, PLR0917 - what such a span says
    made: Made, service: str, statement: str, parent: Span, start_ns: int, duration_ns: int, rows: int = 1
) -> Span:
    operation, table = statement.split(" ", 1)[0], "order_item" if "order_item" in statement else "product"
    return made.span(
        service, _SQL, f"{operation} {table}", CLIENT, parent, start_ns, duration_ns,
        {
            "db.system.name": "postgresql",
            "db.namespace": "shop",
            "db.operation.name": operation,
            "db.collection.name": table,
            "db.query.text": statement,
            "db.response.returned_rows": rows,
            "server.address": "db.local",
            "server.port": 5432,
            "code.function.name": f"{service}.models.{table}",
        },
    )  # fmt: skip


def browse(made: Made, start_ns: int) -> None:
    """A page of products; one of five asks the database for each product by itself."""
    draw, one_by_one = made.draw, made.draw.random() < 0.2
    queries = draw.randrange(9, 15) if one_by_one else 2
    each = draw.randrange(1, 4) * MILLISECOND
    total = 4 * MILLISECOND + queries * (each + MILLISECOND // 4)
    root = served(made, "gateway", "GET", "/products", None, start_ns, total + 6 * MILLISECOND)
    call = called(
        made,
        "gateway",
        "catalogue",
        "GET",
        "/products",
        root,
        start_ns + MILLISECOND,
        total + 3 * MILLISECOND,
    )
    page = served(
        made, "catalogue", "GET", "/products", call, start_ns + 2 * MILLISECOND, total + MILLISECOND
    )
    at = start_ns + 4 * MILLISECOND
    queried(made, "catalogue", "SELECT * FROM product WHERE shown = $1 LIMIT 20", page, at, each, queries - 1)
    for _ in range(queries - 1):
        at += each + MILLISECOND // 4
        text = "SELECT * FROM product WHERE id = $1" if one_by_one else "SELECT count(*) FROM product"
        queried(made, "catalogue", text, page, at, each)


def checkout(made: Made, start_ns: int) -> None:
    """An order: stock, payment, a message for the mail; some cards are declined."""
    draw, declined = made.draw, made.draw.random() < 0.06
    charge = int(draw.lognormvariate(4.2, 0.6) * MILLISECOND)
    status = 502 if declined else 201
    root = served(made, "gateway", "POST", "/checkout", None, start_ns, charge + 46 * MILLISECOND, status)
    call = called(
        made,
        "gateway",
        "orders",
        "POST",
        "/orders",
        root,
        start_ns + 2 * MILLISECOND,
        charge + 41 * MILLISECOND,
        status,
    )
    order = served(
        made, "orders", "POST", "/orders", call, start_ns + 4 * MILLISECOND, charge + 37 * MILLISECOND, status
    )
    number = draw.randrange(10**6)
    at = start_ns + 5 * MILLISECOND
    queried(
        made,
        "orders",
        "SELECT stock FROM product WHERE id = ANY($1) FOR UPDATE",
        order,
        at,
        4 * MILLISECOND,
        3,
    )
    queried(
        made,
        "orders",
        "INSERT INTO order_item (order_id, product_id, amount) VALUES ($1, $2, $3)",
        order,
        at + 5 * MILLISECOND,
        3 * MILLISECOND,
    )
    to_payments = called(
        made,
        "orders",
        "payments",
        "POST",
        "/charge",
        order,
        at + 9 * MILLISECOND,
        charge + 6 * MILLISECOND,
        402 if declined else 200,
    )
    paid = served(
        made,
        "payments",
        "POST",
        "/charge",
        to_payments,
        at + 11 * MILLISECOND,
        charge + 2 * MILLISECOND,
        402 if declined else 200,
        **{"order.id": number},
    )
    bank = called(
        made,
        "payments",
        "bank",
        "POST",
        "/v2/charges",
        paid,
        at + 12 * MILLISECOND,
        charge,
        402 if declined else 200,
    )
    made.log("orders", order, at + 8 * MILLISECOND, 9, f"order {number} placed", {"order.id": number})
    if declined:
        reason = draw.choice(("insufficient funds", "card expired", "suspected fraud"))
        for span in (bank, paid):
            made.fail(span, "payments.CardDeclined", f"card of order {number} declined: {reason}", _STACK)
        order.status, order.status_message = 2, "payment failed"
        made.log("payments", paid, paid.end_ns, 17, f"card declined: {reason}", {"order.id": number, "exception.type": "payments.CardDeclined", "exception.message": f"card of order {number} declined: {reason}", "exception.stacktrace": _STACK})  # fmt: skip
        return
    sent = made.span("orders", "opentelemetry.instrumentation.aio_pika", "publish mail", PRODUCER, order, order.end_ns - 3 * MILLISECOND, MILLISECOND, {"messaging.system": "rabbitmq", "messaging.destination.name": "mail", "messaging.operation.type": "send", "messaging.message.id": f"m-{number}"})  # fmt: skip
    worked = made.span("mailer", "opentelemetry.instrumentation.aio_pika", "process mail", CONSUMER, sent, sent.end_ns + draw.randrange(5, 400) * MILLISECOND, 30 * MILLISECOND, {"messaging.system": "rabbitmq", "messaging.destination.name": "mail", "messaging.operation.type": "process", "messaging.message.id": f"m-{number}"})  # fmt: skip
    worked.links.append(link(sent))
    made.log(
        "mailer", worked, worked.end_ns, 13 if draw.random() < 0.1 else 9, f"mail for order {number} sent"
    )


def chat(made: Made, parent: Span, start_ns: int, feature: str, tenant: str) -> Span:
    """A call of a language model; a third are streams, some with what was said, some without a price, few fail."""
    draw = made.draw
    provider, asked, answered, price_in, price_out, currency = draw.choices(MODELS, (50, 15, 20, 10, 5))[0]
    sent, got, cached = draw.randrange(80, 6_000), draw.randrange(10, 900), 0
    if draw.random() < 0.3:
        cached = sent // 2
    stream, limited = draw.random() < 0.35, draw.random() < 0.03
    duration = int(draw.lognormvariate(6.6, 0.5) * MILLISECOND) // (6 if limited else 1)
    values: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": asked,
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 1024,
        "server.address": f"api.{provider}.example",
        "server.port": 443,
        "kpi.tenant": tenant,
        "kpi.feature": feature,
    }
    if stream:
        values["gen_ai.request.stream"] = True
    if not limited:
        values |= {
            "gen_ai.response.model": answered,
            "gen_ai.response.id": f"chatcmpl-{draw.randrange(10**9):09d}",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": sent,
            "gen_ai.usage.output_tokens": got,
        }
        if cached:
            values["gen_ai.usage.cache_read.input_tokens"] = cached
        if stream:
            values["gen_ai.response.time_to_first_chunk"] = duration / SECOND / 4
        if price_in:
            cost = (sent * Decimal(price_in) + got * Decimal(price_out)) / 1_000_000
            values |= {
                "gen_ai.usage.cost.amount": float(cost),
                "gen_ai.usage.cost.currency": currency,
                "gen_ai.usage.cost.source": "local",
                "kpi.llm.price.version": "genai-prices 0.2.3 2026-11-09",
            }
        else:
            values["kpi.llm.unpriced.reason"] = "unknown_model"
        if draw.random() < 0.3:
            values |= {
                "gen_ai.input.messages": '[{"role":"system","parts":[{"type":"text","content":"You help customers of a shop."}]},'
                '{"role":"user","parts":[{"type":"text","content":"Where is my order?"}]}]',
                "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"tool_call","id":"call_1","name":"find_order",'
                '"arguments":{"id":4711}},{"type":"text","content":"It is on its way."}],"finish_reason":"stop"}]',
            }
    span = made.span("assistant", "otel_kpi.llm", f"chat {asked}", CLIENT, parent, start_ns, duration, values)
    if limited:
        made.fail(span, "openai.RateLimitError", "Rate limit reached for requests", '  File "/app/assistant/answer.py", line 52, in answer\n    client.chat.completions.create()\n')  # fmt: skip
    return span


def ask(made: Made, start_ns: int) -> None:
    """A question to the assistant: it looks for documents, asks a model, perhaps uses a tool and asks again."""
    draw, tenant, feature = made.draw, made.draw.choice(TENANTS), made.draw.choice(FEATURES)
    root = served(made, "gateway", "POST", "/ask", None, start_ns, MILLISECOND)
    call = called(made, "gateway", "assistant", "POST", "/ask", root, start_ns + MILLISECOND, MILLISECOND)
    page = served(made, "assistant", "POST", "/ask", call, start_ns + 2 * MILLISECOND, MILLISECOND)
    workflow = made.span("assistant", "otel_kpi.rag", "invoke_workflow support", INTERNAL, page, start_ns + 3 * MILLISECOND, MILLISECOND, {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "support", "kpi.rag.outcome": "answered"})  # fmt: skip
    at = start_ns + 4 * MILLISECOND
    found = made.span("assistant", "otel_kpi.rag", "retrieval handbook", CLIENT, workflow, at, draw.randrange(10, 80) * MILLISECOND, {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "handbook", "gen_ai.request.top_k": 5, "kpi.rag.hits": draw.randrange(6), "kpi.rag.score.top": round(draw.random(), 3)})  # fmt: skip
    first = last = chat(made, workflow, found.end_ns + MILLISECOND, feature, tenant)
    if first.status != 2 and draw.random() < 0.4:
        tool = made.span("assistant", "otel_kpi.llm", "execute_tool find_order", INTERNAL, workflow, first.end_ns + MILLISECOND, 25 * MILLISECOND, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_order", "gen_ai.tool.call.id": "call_1"})  # fmt: skip
        queried(
            made,
            "assistant",
            "SELECT * FROM order_item WHERE order_id = $1",
            tool,
            tool.start_ns + MILLISECOND,
            5 * MILLISECOND,
        )
        last = chat(made, workflow, tool.end_ns + MILLISECOND, feature, tenant)
    for depth, span in enumerate((workflow, page, call, root), 1):
        span.end_ns = last.end_ns + depth * MILLISECOND
        if last.status == 2:
            span.status = 2
    made.log("assistant", page, page.end_ns, 9, "answered", {"kpi.tenant": tenant})


def pipeline(made: Made, start_ns: int) -> None:
    """A run of a pipeline: extract, validate in batches, store; some records are refused, some runs fail."""
    draw, name = made.draw, made.draw.choice(PIPELINES)
    run_id, records, fails = (
        f"{name}-{draw.randrange(10**6):06d}",
        draw.randrange(2_000, 40_000),
        draw.random() < 0.15,
    )
    identity: dict[str, Value] = {"kpi.etl.pipeline.name": name, "kpi.etl.run.id": run_id}
    root = made.span("etl", "otel_kpi.etl", f"run {name}", SERVER, None, start_ns, SECOND, {})
    at, kept, refused = start_ns + 10 * MILLISECOND, records, 0
    reasons: Mapping[str, int] = {}
    for stage, kind in (
        ("read files", "extract"),
        ("check", "validate"),
        ("clean", "transform"),
        ("write facts", "load"),
    ):
        size, stage_start = 1_000, at
        span = made.span("etl", "otel_kpi.etl", f"{stage} {name}", INTERNAL, root, at, SECOND, {})
        came_in = kept
        if kind == "validate":
            reasons = {
                "missing_email": draw.randrange(records // 20),
                "negative_price": draw.randrange(records // 50),
            }
            refused = sum(reasons.values())
            kept -= refused
        for index in range(min(came_in // size, 8)):
            took = draw.randrange(20, 90) * MILLISECOND
            made.span("etl", "otel_kpi.etl", f"batch {stage}", INTERNAL, span, at, took, {"kpi.etl.batch.index": index, "kpi.etl.batch.size": size, "kpi.etl.result": "success", "kpi.etl.records.read": size})  # fmt: skip
            at += took + MILLISECOND
        span.end_ns = at + 2 * MILLISECOND
        failed = fails and kind == "load"
        span.attributes = attributes(
            {
                **identity,
                "kpi.etl.stage.name": stage,
                "kpi.etl.stage.type": kind,
                "kpi.etl.result": "error" if failed else "success",
                "kpi.etl.batches.count": came_in // size,
                "kpi.etl.batches.work_time": (at - stage_start) / SECOND,
                "kpi.etl.records.read": came_in,
                "kpi.etl.records.written": 0 if failed else kept,
                "kpi.etl.records.rejected": refused if kind == "validate" else None,
                "kpi.etl.quality_score": round(100 * kept / records, 2) if kind == "validate" else None,
                "kpi.etl.validation.errors": [f"{word}={count}" for word, count in reasons.items()] if kind == "validate" else None,
            }
        )  # fmt: skip
        at = span.end_ns + MILLISECOND
        if failed:
            made.fail(
                span,
                "sqlalchemy.exc.OperationalError",
                "could not serialize access due to concurrent update",
                _ETL_STACK,
            )
    root.end_ns = at + 5 * MILLISECOND
    root.attributes = attributes(
        {
            **identity,
            "model_name": name,
            "kpi.etl.run.trigger": "schedule",
            "kpi.etl.run.attempt": 1,
            "kpi.etl.input.datasets": [f"file:///data/{name}.csv"],
            "kpi.etl.output.datasets": [f"postgres://db:5432/kpi.public.{name}"],
            "kpi.etl.result": "error" if fails else "success",
            "kpi.etl.records.read": records,
            "kpi.etl.records.rejected": refused,
            "kpi.etl.records.written": 0 if fails else kept,
            "kpi.etl.quality_score": round(100 * kept / records, 2),
            "kpi.etl.validation.errors": [f"{word}={count}" for word, count in reasons.items()],
        }
    )  # fmt: skip
    if fails:
        made.fail(
            root,
            "sqlalchemy.exc.OperationalError",
            "could not serialize access due to concurrent update",
            _ETL_STACK,
        )
    made.log(
        "etl",
        root,
        root.end_ns,
        17 if fails else 9,
        f"run {run_id} {'failed' if fails else 'done'}",
        identity,
    )


def alive(made: Made, start_ns: int) -> None:
    """A probe: a trace of one span."""
    served(made, "gateway", "GET", "/healthz", None, start_ns, MILLISECOND)


KINDS: Final = ((browse, 45), (checkout, 30), (ask, 20), (pipeline, 1), (alive, 4))
"""What goes on, and how often."""
