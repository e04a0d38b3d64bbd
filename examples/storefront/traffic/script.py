"""The script: which requests there are, in which order, and what each of them causes.

Everything that the stores should hold afterwards follows from here by addition. Statements are those
that read or write rows; BEGIN, COMMIT and ROLLBACK are not counted, whether or not a driver's
instrumentation makes spans of them.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from storefront import ledger
from storefront.etl import feed
from storefront.etl.pipeline import BATCH
from storefront.ledger import ASSISTANT, BACKOFFICE, ETL, SHOP, Ledger
from storefront.shop.models import CATALOGUE_SIZE, CORRUPT_PRICE, FIRST_ORDERS, LOST_SHELF, SOLD_OUT

SECONDS_BETWEEN_IMPORTS = 30
NO_PRODUCT = 9999
CHAT = (ASSISTANT, "POST", "/v1/chat/completions", 200)
RUN = "run catalogue"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it is sent, and the kind that it is of."""

    kind: "Kind"
    path: str
    body: dict[str, object] | None = None


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of request, and everything that one of them causes.

    Attributes:
        weight: Share of the traffic; all weights together are 1000.
        make: Draws a path and a body.
        statements: Service → statements that it sends.
        log_records: `service logger` → records.
        calls: Requests that other services receive on account of this one.
        errors: `service exception type` of errors that nobody handled.
    """

    method: str
    route: str
    status: int
    weight: int
    make: Callable[[random.Random], tuple[str, dict[str, object] | None]]
    statements: dict[str, int]
    log_records: dict[str, int]
    calls: tuple[tuple[str, str, str, int], ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key in the book of requests."""
        return ledger.request(SHOP, self.method, self.route, self.status)


def _path(template: str) -> Callable[[random.Random], tuple[str, None]]:
    """A path with a product of the catalogue in it."""
    return lambda chance: (template.format(chance.randint(1, CATALOGUE_SIZE)), None)


def _basket(
    path: str, product_id: int | None = None, quantity: int = 1
) -> Callable[[random.Random], tuple[str, dict[str, object]]]:
    return lambda chance: (
        path,
        {"product_id": product_id or chance.randint(1, CATALOGUE_SIZE), "quantity": quantity},
    )


_SHOP_LOG = {f"{SHOP} storefront.shop": 1}
_CHAT_LOG = {f"{ASSISTANT} storefront.assistant": 1}
_BACKOFFICE_LOG = {f"{BACKOFFICE} storefront.backoffice": 1}
_DJANGO_LOG = {f"{BACKOFFICE} django.request": 1}  # Django's own line for each 4xx and 5xx

KINDS = (
    Kind("GET", "/products", 200, 240, _path("/products"), {SHOP: 1}, _SHOP_LOG),
    Kind("GET", "/products/{product_id}", 200, 300, _path("/products/{}"), {SHOP: 1}, _SHOP_LOG),
    Kind(
        "GET",
        "/products/{product_id}",
        404,
        30,
        lambda _: (f"/products/{NO_PRODUCT}", None),
        {SHOP: 1},
        _SHOP_LOG,
    ),
    Kind(
        "GET",
        "/products/{product_id}",
        500,
        10,
        lambda _: (f"/products/{CORRUPT_PRICE}", None),
        {SHOP: 1},
        _SHOP_LOG,
        errors=(f"{SHOP} InvalidOperation",),
    ),
    Kind(
        "GET",
        "/products/{product_id}/description",
        200,
        100,
        _path("/products/{}/description"),
        {SHOP: 1},
        _SHOP_LOG | _CHAT_LOG,
        calls=(CHAT,),
    ),
    Kind(
        "GET",
        "/products/{product_id}/stock",
        200,
        50,
        _path("/products/{}/stock"),
        {SHOP: 1, BACKOFFICE: 1},
        _SHOP_LOG | _BACKOFFICE_LOG,
        calls=((BACKOFFICE, "GET", "stock/<slug:sku>/", 200),),
    ),
    Kind(
        "GET",
        "/products/{product_id}/stock",
        502,
        5,
        lambda _: (f"/products/{LOST_SHELF}/stock", None),
        {SHOP: 1, BACKOFFICE: 1},
        _SHOP_LOG | _DJANGO_LOG,
        calls=((BACKOFFICE, "GET", "stock/<slug:sku>/", 500),),
        errors=(f"{BACKOFFICE} ValueError",),
    ),
    Kind("POST", "/orders", 201, 90, _basket("/orders"), {SHOP: 2}, _SHOP_LOG),
    Kind("POST", "/orders", 422, 20, _basket("/orders", quantity=-1), {}, {}),
    Kind(
        "GET",
        "/orders/{order_id}",
        200,
        85,
        lambda chance: (f"/orders/{chance.randint(1, FIRST_ORDERS)}", None),
        {SHOP: 1},
        _SHOP_LOG,
    ),
    Kind(
        "POST",
        "/checkout",
        201,
        60,
        _basket("/checkout"),
        {SHOP: 3, BACKOFFICE: 3},
        _SHOP_LOG | _BACKOFFICE_LOG | _CHAT_LOG,
        calls=((BACKOFFICE, "POST", "shipments/", 201), CHAT),
    ),
    Kind(
        "POST",
        "/checkout",
        409,
        10,
        _basket("/checkout", SOLD_OUT),
        {SHOP: 3, BACKOFFICE: 1},
        _SHOP_LOG | _BACKOFFICE_LOG | _DJANGO_LOG,
        calls=((BACKOFFICE, "POST", "shipments/", 409),),
    ),
)
IMPORT = Kind("POST", "/imports", 202, 0, lambda _: ("/imports", None), {}, _SHOP_LOG)


def requests(rate: int, duration: int, seed: int = 1) -> list[Request]:
    """Return the requests in the order in which they are sent.

    Args:
        rate: Requests per second.
        duration: Seconds.
        seed: The same seed gives the same requests.
    """
    chance = random.Random(seed)
    between = min(
        SECONDS_BETWEEN_IMPORTS, (duration + 1) // 2
    )  # at least two, so that they have to be added up
    imports = [rate * second + rate // 2 for second in range(0, duration, between)]
    kinds = [
        kind
        for kind, count in zip(KINDS, _shares(rate * duration - len(imports)), strict=True)
        for _ in range(count)
    ]
    chance.shuffle(kinds)
    drawn = [Request(kind, *kind.make(chance)) for kind in kinds]
    names = sorted(feed.FEEDS)
    for i, place in enumerate(imports):  # early in each half minute, so that the run ends within the traffic
        drawn.insert(place, Request(IMPORT, "/imports", {"feed": names[i % len(names)]}))
    return drawn


def plan(sent: list[Request]) -> Ledger:
    """Return everything that these requests cause."""
    books = Ledger()
    for one in sent:
        kind = one.kind
        books.requests[kind.key] += 1
        books.requests.update(ledger.request(*call) for call in kind.calls)
        for service, count in kind.statements.items():
            books.statements[ledger.statement(service, kind.key)] += count
        books.errors.update(kind.errors)
        books.log_records.update(kind.log_records)
        if kind is IMPORT and one.body is not None:
            _plan_run(books, str(one.body["feed"]))
    return books


def _plan_run(books: Ledger, name: str) -> None:
    rows, faults = feed.FEEDS[name], feed.faults(name)
    rejected = faults.total()
    valid = rows - rejected
    books.statements[ledger.statement(ETL, RUN)] += -(-valid // BATCH)
    books.log_records[f"{ETL} storefront.etl"] += 2 + rejected
    books.etl_records.update(
        {
            "runs": 1,
            "extract read": rows,
            "validate valid": valid,
            "validate rejected": rejected,
            "load written": valid,
        }
        | {f"rejected for {reason}": count for reason, count in faults.items()}
    )


def _shares(total: int) -> list[int]:
    """Divide the requests by weight, each kind at least once; the most frequent kind makes up for rounding."""
    weights = sum(kind.weight for kind in KINDS)
    counts = [max(1, total * kind.weight // weights) for kind in KINDS]
    most = max(range(len(KINDS)), key=lambda i: KINDS[i].weight)
    counts[most] += total - sum(counts)
    if counts[most] < 1:
        raise ValueError(f"{total} requests are too few for {len(KINDS)} kinds")
    return counts
