"""botocore: one client span for each call of the service, the trace in messages, the application's payload untouched."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from otel_kpi.instrumentation.botocore import with_trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from support.captured import Captured


class Service:
    """A service of AWS's protocols, scripted: what it was asked, and its queue."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        self.trace_headers: list[str] = []
        self.queue: list[dict[str, Any]] = []
        self.port = 0

    def client(self, name: str, port: int | None = None) -> Any:
        return boto3.client(  # pyright: ignore[reportUnknownMemberType] -- boto3 makes its clients of data
            name,  # pyright: ignore[reportArgumentType, reportCallIssue]
            endpoint_url=f"http://127.0.0.1:{port or self.port}",
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 0}),
        )

    def answer(self, path: str, target: str, body: bytes) -> tuple[int, bytes]:
        self.requests.append((path, target, body))
        operation = target.rpartition(".")[2]
        if operation == "SendMessage":
            self.queue.append(json.loads(body))
            return 200, b'{"MessageId": "m-1"}'
        if operation == "SendMessageBatch":
            self.queue += json.loads(body)["Entries"]
            return 200, b'{"Successful": [], "Failed": []}'
        if operation == "ReceiveMessage":
            asked = json.loads(body).get("MessageAttributeNames", [])
            messages = [
                {
                    "MessageId": "m-1",
                    "Body": sent["MessageBody"],
                    "MessageAttributes": {
                        name: value for name, value in sent["MessageAttributes"].items() if name in asked
                    },
                }
                for sent in self.queue
            ]
            return 200, json.dumps({"Messages": messages}).encode()
        if path.endswith("/missing"):
            return 404, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>"
        return 200, b"{}" if target or "functions" in path else b""


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            service.trace_headers.append(self.headers.get("X-Amzn-Trace-Id", ""))
            status, answer = service.answer(self.path, self.headers.get("X-Amz-Target", ""), body)
            self.send_response(status)
            self.send_header("x-amzn-RequestId", "request-1")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST  # noqa: N815 -- the standard library's name
        do_PUT = do_POST  # noqa: N815 -- the same

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the standard library's name
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as http:
        service.port = http.server_port
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield service
        finally:
            http.shutdown()
            thread.join()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_call_is_one_client_span_with_service_region_and_request(
    captured: Captured, service: Service
) -> None:
    """urllib3 lies under it, and is silent."""
    service.client("s3").put_object(Bucket="shop", Key="receipt", Body=b"x")
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
        service.client("s3").get_object(Bucket="shop", Key="missing")
    span = captured.span(SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "NoSuchKey"
    assert attributes(span)["http.response.status_code"] == 404


def test_service_that_is_not_there_is_an_error(captured: Captured, service: Service) -> None:
    with pytest.raises(EndpointConnectionError):
        service.client("dynamodb", port=1).list_tables()
    span = captured.span(SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "EndpointConnectionError"


def test_table_of_dynamodb_is_on_the_span(captured: Captured, service: Service) -> None:
    service.client("dynamodb").put_item(TableName="orders", Item={"id": {"S": "1"}})
    span = captured.span(SpanKind.CLIENT)
    assert span.name == "DynamoDB.PutItem"
    assert attributes(span)["aws.dynamodb.table_names"] == ("orders",)
    assert attributes(span)["aws.request_id"] == "request-1"


def test_message_of_sqs_carries_the_trace_and_its_reception_is_linked(
    captured: Captured, service: Service
) -> None:
    client = service.client("sqs")
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
    service.client("lambda").invoke(FunctionName="bill", Payload=payload)
    [(_, _, body)] = service.requests
    assert body == payload
    assert attributes(captured.span(SpanKind.CLIENT))["faas.invoked_name"] == "bill"
    assert service.trace_headers[0]
