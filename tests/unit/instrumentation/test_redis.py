"""redis on a real server: one client span for each command and pipeline; sync, async, cluster."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
import redis
import redis.asyncio
from opentelemetry.trace import StatusCode
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel
from support import servers
from support.children import free_port
from support.statements import (
    assert_all_of,
    assert_children_of_the_caller,
    assert_failed,
    assert_silent_when_disabled,
    measured,
    operations,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured
    from support.servers import Server


@pytest.fixture
def client(captured: Captured, redis_server: Server) -> Iterator[Any]:
    with redis.Redis(
        redis_server.host, redis_server.port, db=3, health_check_interval=1, client_name="till"
    ) as client:
        client.flushdb()
        captured.span_exporter.clear()
        yield client


def test_commands_have_stable_names_and_show_no_values(
    captured: Captured, client: Any, redis_server: Server
) -> None:
    assert client.set("mail", "mary@example.com") is True
    assert client.get("mail") == b"mary@example.com"
    client.config_get("maxmemory")
    # HELLO, CLIENT SETINFO, CLIENT SETNAME, SELECT and the health check's PING are redis-py's own.
    assert operations(captured) == ["SET", "GET", "CONFIG GET"]
    assert texts(captured)[:2] == ["SET ? ?", "GET ?"]
    assert [span.name for span in captured.spans()][:2] == ["SET 3", "GET 3"]
    assert_all_of(captured, "redis", redis_server, "3")
    assert all("mary" not in span.to_json() for span in captured.spans())


def test_pipeline_is_one_span_with_its_size(captured: Captured, client: Any, redis_server: Server) -> None:
    with client.pipeline() as pipeline:
        for number in range(50):
            pipeline.set(f"key:{number}", number)
        assert pipeline.execute() == [True] * 50
        assert pipeline.execute() == []
    with client.pipeline(transaction=False) as pipeline:
        pipeline.incr("counter").get("counter")
        assert pipeline.execute() == [1, b"1"]
    assert operations(captured) == ["MULTI SET", "PIPELINE"]
    assert [(span.attributes or {})["db.operation.batch.size"] for span in captured.spans()] == [50, 2]
    assert texts(captured)[1] == "INCRBY ? ?\nGET ?"
    assert_all_of(captured, "redis", redis_server, "3")


def test_transaction_that_watches_has_its_commands_and_its_conflict_is_no_error(
    captured: Captured, client: Any
) -> None:
    with client.pipeline() as pipeline:
        pipeline.watch("stock")
        pipeline.get("stock")
        client.set("stock", 1)
        pipeline.multi()
        pipeline.set("stock", 2)
        with pytest.raises(redis.WatchError):
            pipeline.execute()
    assert operations(captured) == ["WATCH", "GET", "SET", "MULTI SET"]
    assert captured.spans()[-1].status.status_code is StatusCode.UNSET


def test_script_that_a_pipeline_loads_first_is_part_of_it(captured: Captured, client: Any) -> None:
    script = client.register_script("return ARGV[1]")
    with client.pipeline() as pipeline:
        script(args=[7], client=pipeline)
        assert pipeline.execute() == [b"7"]
    assert operations(captured) == ["MULTI EVALSHA"]


def test_failed_command_has_the_servers_word_for_it(captured: Captured, client: Any) -> None:
    client.set("word", "hat")
    with pytest.raises(redis.ResponseError):
        client.lpush("word", "shoe")
    span = captured.spans()[-1]
    assert_failed(span, "redis.exceptions.ResponseError", "WRONGTYPE")


def test_connection_that_is_refused_is_a_failed_command(captured: Captured) -> None:
    client = redis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    with pytest.raises(redis.ConnectionError):
        client.get("key")
    assert_failed(captured.span(captured.spans()[0].kind), "redis.exceptions.ConnectionError", None)


def test_subscription_is_no_command_that_lasts(captured: Captured, client: Any) -> None:
    with client.pubsub() as pubsub:
        pubsub.subscribe("news")
        client.publish("news", "hello")
        for _ in range(2):
            pubsub.get_message(timeout=1)
    assert operations(captured) == ["PUBLISH"]


def test_async_commands_and_pipelines(captured: Captured, redis_server: Server) -> None:
    async def whole() -> None:
        client = redis.asyncio.from_url(f"redis://{redis_server.host}:{redis_server.port}/4")
        await client.set("key", 1)
        async with client.pipeline() as pipeline:
            await cast("Any", pipeline).incr("key").get("key").execute()
        async with client.pipeline() as pipeline:
            await pipeline.watch("key")
            assert await pipeline.get("key") == b"2"
        with pytest.raises(redis.ResponseError):
            await client.lpush("key", 1)
        await client.connection_pool.disconnect()

    asyncio.run(whole())
    assert operations(captured) == ["SET", "MULTI", "WATCH", "GET", "LPUSH"]
    assert_failed(captured.spans()[-1], "redis.exceptions.ResponseError", "WRONGTYPE")
    assert_all_of(captured, "redis", redis_server, "4")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Server]:
    with servers.redis("--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server:
        with redis.Redis(port=server.port) as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            # As text or as a dictionary, by the version of redis-py.
            servers.wait_until(
                lambda: "cluster_state:ok" in str(client.execute_command("CLUSTER INFO")).replace("': '", ":")
            )
        yield server


def test_cluster_has_the_applications_commands_and_not_its_own(captured: Captured, cluster: Server) -> None:
    client = redis.RedisCluster(host=cluster.host, port=cluster.port)
    client.set("key", 1)
    with client.pipeline() as pipeline:
        pipeline.get("key")
        pipeline.get("other")
        assert pipeline.execute() == [b"1", None]
    client.close()
    assert operations(captured) == ["SET", "PIPELINE GET"]


def test_async_cluster_has_the_applications_commands_and_not_its_own(
    captured: Captured, cluster: Server
) -> None:
    async def whole() -> None:
        client = redis.asyncio.RedisCluster(host=cluster.host, port=cluster.port)
        await client.set("key", 2)
        assert await cast("Any", client).pipeline().get("key").get("other").execute() == [b"2", None]
        await (getattr(client, "aclose", None) or client.close)()

    asyncio.run(whole())
    assert operations(captured) == ["SET", "PIPELINE GET"]


@pytest.fixture(scope="module")
def sentinel(redis_server: Server) -> Iterator[Server]:
    with servers.redis_sentinel(redis_server) as server:
        yield server


def test_question_where_the_master_is_has_no_span(captured: Captured, sentinel: Server) -> None:
    sentinels = Sentinel([(sentinel.host, sentinel.port)])
    with sentinels.master_for("shop") as client:
        client.set("key", 1)
    sentinels.sentinels[0].close()
    assert operations(captured) == ["SET"]
    # Nobody knows before it is connected to which server it goes.
    assert "server.address" not in (captured.spans()[0].attributes or {})


def test_question_of_an_async_client_where_the_master_is_has_no_span(
    captured: Captured, sentinel: Server
) -> None:
    async def whole() -> None:
        sentinels = AsyncSentinel([(sentinel.host, sentinel.port)])
        client: Any = sentinels.master_for("shop")
        await client.set("key", 1)
        for each in (client, *sentinels.sentinels):
            await each.connection_pool.disconnect()

    asyncio.run(whole())
    assert operations(captured) == ["SET"]


def test_users_own_instrumentor_wins(captured: Captured, client: Any) -> None:
    upstream = pytest.importorskip("opentelemetry.instrumentation.redis").RedisInstrumentor()
    upstream.instrument(skip_dep_check=True)
    try:
        client.get("key")
    finally:
        upstream.uninstrument()
    [span] = captured.spans()
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "opentelemetry.instrumentation.redis"


def test_spans_stand_under_the_callers_and_are_gone_when_disabled(captured: Captured, client: Any) -> None:
    def run() -> None:
        client.get("key")

    assert_children_of_the_caller(captured, run)
    assert_silent_when_disabled(captured, "redis", run)


def test_durations_are_measured(captured: Captured, client: Any) -> None:
    before = dict(measured(captured, "redis")).get("TIME", 0)
    client.time()
    assert dict(measured(captured, "redis"))["TIME"] == before + 1
