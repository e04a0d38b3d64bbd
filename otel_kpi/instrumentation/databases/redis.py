"""redis: a client span for each command, and one for each pipeline with its size; sync, async, cluster.

Upstream names a pipeline's span after all of its commands, however many, and gives neither operation nor error type
nor a measurement. What redis-py sends for a connection (HELLO, CLIENT SETINFO, PING of its health check) goes past
the methods that are wrapped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_kpi import _compat
from otel_kpi.instrumentation.databases import calls, sql
from otel_kpi.instrumentation.databases.database import Database, Failure, Statement
from otel_kpi.instrumentation.databases.silence import in_silence, in_silence_async

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

_MOST_SHOWN: Final = 20
"""Commands of a pipeline in `db.query.text`, and arguments of a command."""
_LONGEST_NAME: Final = 64


def _failure(error: BaseException) -> Failure | None:
    if type(error).__name__ == "WatchError":
        return None  # another client was first: an answer, on which the application tries again
    # A reply's first word is its kind (`WRONGTYPE`, `NOSCRIPT`); redis-py takes `ERR` off, and names a pipeline's
    # command with its arguments before it.
    word = str(error).partition(" ")[0]
    code = word if word.isascii() and word.isalpha() and word.isupper() else ""
    return Failure(code, f"{type(error).__name__} {code}".rstrip())


DATABASE: Final = Database(
    "redis",
    "redis",
    upstream="opentelemetry.instrumentation.redis:RedisInstrumentor",
    failure=_failure,
)


class Instrumentor:
    """Wraps the methods through which every command goes."""

    def __init__(self) -> None:
        self._methods = calls.Methods()

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether upstream's instrumentor has the library."""
        return DATABASE.foreign

    foreign = is_instrumented_by_opentelemetry

    def instrument(self, **_options: Any) -> None:
        """Wrap them."""
        import redis.asyncio.client
        import redis.asyncio.cluster
        import redis.asyncio.sentinel
        import redis.client
        import redis.cluster
        import redis.sentinel

        DATABASE.activate()
        wrap = self._methods.wrap
        # How a cluster's client learns of its nodes, and where a command's keys are.
        wrap(redis.cluster.NodesManager, ("initialize",), in_silence)
        parser: Any = vars(redis.cluster)["CommandsParser"]
        wrap(parser, ("initialize", "get_keys"), in_silence)
        # And a sentinel's, where the master is.
        wrap(redis.sentinel.Sentinel, ("discover_master", "discover_slaves"), in_silence)
        wrap(redis.asyncio.sentinel.Sentinel, ("discover_master", "discover_slaves"), in_silence_async)
        for client in (redis.client.Redis, redis.cluster.RedisCluster):
            wrap(client, ("execute_command",), calls.call(DATABASE, _command))
        for pipeline in (redis.client.Pipeline, redis.cluster.ClusterPipeline):
            wrap(pipeline, ("execute",), calls.call(DATABASE, _pipeline))
        wrap(redis.client.Pipeline, ("immediate_execute_command",), calls.call(DATABASE, _command))
        for client in (redis.asyncio.client.Redis, redis.asyncio.cluster.RedisCluster):
            wrap(client, ("execute_command",), calls.coroutine(DATABASE, _command))
        for pipeline in (redis.asyncio.client.Pipeline, redis.asyncio.cluster.ClusterPipeline):
            wrap(pipeline, ("execute",), calls.coroutine(DATABASE, _pipeline))
        wrap(
            redis.asyncio.client.Pipeline, ("immediate_execute_command",), calls.coroutine(DATABASE, _command)
        )

    def uninstrument(self) -> None:
        """Unwrap them."""
        DATABASE.active = False
        self._methods.unwrap()


def _command(client: Any, args: Any, _kwargs: Any) -> Statement | None:
    name = _name(args)
    return Statement(name, {**_where(client), "db.query.text": _shown(args)})


def _pipeline(pipeline: Any, _args: Any, _kwargs: Any) -> Statement | None:
    queue = list(_compat.redis_queue(pipeline))
    if not queue:
        return None  # nothing is sent
    # A pipeline may have many thousands: one look at each, and no text of it.
    first = (
        {command.args[0] for command in queue}
        if hasattr(queue[0], "args")
        else {each[0][0] for each in queue}
    )
    names = {_name((word,)) for word in first}
    # As the conventions have it: how they are sent, and what they are if they are all the same.
    word = "MULTI" if _is_transaction(pipeline) else "PIPELINE"
    attributes: dict[str, AttributeValue] = {
        **_where(pipeline),
        "db.query.text": "\n".join(_shown(_arguments(command)) for command in queue[:_MOST_SHOWN]),
    }
    if len(queue) > 1:
        attributes["db.operation.batch.size"] = len(queue)
    return Statement(f"{word} {names.pop()}" if len(names) == 1 else word, attributes)


def _is_transaction(pipeline: Any) -> bool:
    """Say whether the commands run as one; the attribute has another name in the async client."""
    default = getattr(pipeline, "transaction", False) is True
    return bool(
        getattr(pipeline, "is_transaction", default) or getattr(pipeline, "explicit_transaction", False)
    )


def _arguments(command: Any) -> tuple[Any, ...]:
    return tuple(command.args) if hasattr(command, "args") else tuple(command[0])


def _name(args: tuple[Any, ...]) -> str:
    first = args[0] if args else ""
    text = first.decode("ascii", "replace") if isinstance(first, bytes) else str(first)
    return text[:_LONGEST_NAME].upper()


def _shown(args: tuple[Any, ...]) -> str:
    """Give a command without its keys and values."""
    marks = ["?"] * min(len(args) - 1, _MOST_SHOWN)
    return " ".join([_name(args), *marks, *(["…"] if len(args) - 1 > _MOST_SHOWN else [])])


def _where(client: Any) -> dict[str, AttributeValue]:
    options = getattr(getattr(client, "connection_pool", None), "connection_kwargs", None)
    if options is None:  # a cluster chooses the node later
        return {}
    path, host = options.get("path"), options.get("host")
    if path is None and host is None and "connection_pool" not in options:
        host = "localhost"  # redis-py's own default; a sentinel's pool is known by its option
    namespace = str(options.get("db") or 0)
    return sql.server(namespace, path or host, None if path else options.get("port", 6379))
