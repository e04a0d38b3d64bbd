"""aiobotocore: what holds for botocore, asynchronously."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("aiobotocore")

from aiobotocore.session import get_session  # pyright: ignore[reportMissingImports, reportUnknownVariableType]
from opentelemetry.trace import SpanKind
from support.aws_service import aws_service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.aws_service import Service
    from support.captured import Captured


@pytest.fixture
def service() -> Iterator[Service]:
    with aws_service() as started:
        yield started


def test_message_of_sqs_carries_the_trace_and_its_reception_is_linked(
    captured: Captured, service: Service
) -> None:
    url = f"{service.url}/1/orders"

    async def exchange() -> None:
        session: Any = get_session()
        async with session.create_client(
            "sqs",
            endpoint_url=service.url,
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        ) as client:
            await client.send_message(QueueUrl=url, MessageBody="one")
            received = await client.receive_message(QueueUrl=url)
            assert [message["Body"] for message in received["Messages"]] == ["one"]

    asyncio.run(exchange())
    # aiohttp lies under it, and is silent.
    sent, reception = captured.spans(SpanKind.CLIENT)
    assert sent.context is not None
    assert [link.context.span_id for link in reception.links] == [sent.context.span_id]
    assert (reception.attributes or {})["http.response.status_code"] == 200
