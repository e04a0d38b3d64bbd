"""botocore: one client span for each call of the service, the trace in messages, the application's payload untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.aws_service import aws_service
from support.faults import Faults, outcome, state

from otel_kpi import instrumentation
from otel_kpi.instrumentation.boundary import MOST_ERRORS
from otel_kpi.instrumentation.messaging.botocore import with_trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from support.aws_service import Service
    from support.captured import Captured


@pytest.fixture
def service() -> Iterator[Service]:
    with aws_service() as started:
        yield started


def client_of(service: Service, name: str, port: int | None = None) -> Any:
    return boto3.client(  # pyright: ignore[reportUnknownMemberType] -- boto3 makes its clients of data
        name,  # pyright: ignore[reportArgumentType, reportCallIssue]
        endpoint_url=f"http://127.0.0.1:{port or service.port}",
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}),
    )


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_call_is_one_client_span_with_service_region_and_request(
    captured: Captured, service: Service
) -> None:
    """urllib3 lies under it, and is silent."""
    client_of(service, "s3").put_object(Bucket="shop", Key="receipt", Body=b"x")
    span = captured.span(SpanKind.CLIENT)
    assert span.name == "S3.PutObject"
    said = attributes(span)
    assert (said["rpc.service"], said["rpc.method"]) == ("S3", "PutObject")
    assert said["cloud.region"] == "eu-central-1"
    assert said["http.response.status_code"] == 200
    assert (said["server.address"], said["server.port"]) == ("127.0.0.1", service.port)
    assert span.context is not None
    [header] = service.trace_headers
    assert f"Parent={span.context.span_id:016x}" in header


def test_refusal_of_the_service_is_an_error_of_its_kind(captured: Captured, service: Service) -> None:
    with pytest.raises(ClientError, match="NoSuchKey"):
        client_of(service, "s3").get_object(Bucket="shop", Key="missing")
    span = captured.span(SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "NoSuchKey"
    assert attributes(span)["http.response.status_code"] == 404


def test_service_that_is_not_there_is_an_error(captured: Captured, service: Service) -> None:
    with pytest.raises(EndpointConnectionError):
        client_of(service, "dynamodb", port=1).list_tables()
    span = captured.span(SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "EndpointConnectionError"


def test_table_of_dynamodb_is_on_the_span(captured: Captured, service: Service) -> None:
    client_of(service, "dynamodb").put_item(TableName="orders", Item={"id": {"S": "1"}})
    span = captured.span(SpanKind.CLIENT)
    assert span.name == "DynamoDB.PutItem"
    assert attributes(span)["aws.dynamodb.table_names"] == ("orders",)
    assert attributes(span)["aws.request_id"] == "request-1"


def test_message_of_sqs_carries_the_trace_and_its_reception_is_linked(
    captured: Captured, service: Service
) -> None:
    client = client_of(service, "sqs")
    url = f"http://127.0.0.1:{service.port}/1/orders"
    given = {"kind": {"DataType": "String", "StringValue": "new"}}
    client.send_message(QueueUrl=url, MessageBody="one", MessageAttributes=given)
    client.send_message_batch(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "two"}])
    received = client.receive_message(QueueUrl=url, MessageAttributeNames=["kind"])
    assert [message["Body"] for message in received["Messages"]] == ["one", "two"]
    assert list(given) == ["kind"]
    assert received["Messages"][0]["MessageAttributes"]["kind"] == given["kind"]
    sent, batch, reception = captured.spans(SpanKind.CLIENT)
    publishers = [span.context.span_id for span in (sent, batch) if span.context is not None]
    assert [link.context.span_id for link in reception.links] == publishers
    assert attributes(reception)["messaging.system"] == "aws_sqs"
    assert attributes(reception)["messaging.destination.name"] == "orders"
    assert attributes(reception)["messaging.batch.message_count"] == 2


@pytest.mark.usefixtures("captured")
def test_message_that_is_full_goes_out_as_it_is() -> None:
    given = {f"name{number}": {"DataType": "String", "StringValue": "x"} for number in range(10)}
    with trace.get_tracer("test").start_as_current_span("order"):
        assert with_trace(given) == given
        assert set(with_trace({})) == {"traceparent"}


def test_payload_of_a_lambda_function_is_the_applications(captured: Captured, service: Service) -> None:
    """Upstream adds "headers" to it."""
    payload = b'{"number":  1}'
    client_of(service, "lambda").invoke(FunctionName="bill", Payload=payload)
    [(_, _, body)] = service.requests
    assert body == payload
    assert attributes(captured.span(SpanKind.CLIENT))["faas.invoked_name"] == "bill"
    assert service.trace_headers[0]


@pytest.mark.parametrize("fault", ["sampler", "on_start", "on_end"])
def test_service_answers_where_telemetry_is_broken(fault: str, faults: Faults, service: Service) -> None:
    instrumentation.install()
    client = client_of(service, "s3")

    def calls() -> list[Any]:
        return [
            outcome(lambda: "ETag" in client.put_object(Bucket="shop", Key="receipt", Body=b"x")),
            outcome(lambda: client.get_object(Bucket="shop", Key="missing")),
        ]

    expected = calls()
    faults.armed = fault
    for _ in range(MOST_ERRORS):
        assert calls() == expected
    assert faults.raised
    assert (state("botocore").state, state("botocore").errors) == ("off", MOST_ERRORS)
