"""Private parts of upstream's instrumentors of Amazon Bedrock, the new one and botocore's, and of botocore.

What an answer says is read in upstream's own places: a body can be read once, and upstream has the bytes.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, Final

from otel_kpi._compat import genai_answers

if TYPE_CHECKING:
    from collections.abc import Callable

    Told = Callable[[Any, Any], None]

_MARK: Final = "_otel_kpi_follows"
_SERVICE: Final = "bedrock-runtime"


def bear_odd_answers(failed: Callable[[Exception], None]) -> None:
    """Keep what upstream raises over an answer, with its span; before `follow_answers`, which is told all the same.

    Touches `extract_converse_response`, `extract_invoke_model_response` and `extract_embedding_response` of the package's
    `patch` and `stream`, as those of other SDKs in `openai.py` and `anthropic.py`.

    Args:
        failed: Told of an error.
    """
    from opentelemetry.instrumentation.genai.bedrock import patch, stream

    bodies = ("extract_invoke_model_response", "extract_embedding_response")
    genai_answers.bear_odd_answers(patch, ("extract_converse_response", *bodies), failed)
    genai_answers.bear_odd_answers(stream, bodies, failed)


def follow_answers(converse: Told, body: Callable[[Any, Any, bytes], None], event: Told, chunk: Told) -> None:
    """Have every answer of Bedrock's told of, with the invocation of upstream's that it belongs to.

    Args:
        converse: Called with the invocation and the answer of Converse, after upstream has read it.
        body: Called with the invocation, the answer of InvokeModel and the bytes of its body, after upstream.
        event: Called with the invocation and each event of ConverseStream, before upstream reads it.
        chunk: The same for the chunks of InvokeModelWithResponseStream.
    """
    from opentelemetry.instrumentation.genai.bedrock import patch, stream

    if getattr(patch, _MARK, False):
        return
    read_converse = patch.extract_converse_response

    @functools.wraps(read_converse)
    def extract_converse_response(response: Any, invocation: Any, **options: Any) -> None:
        read_converse(response, invocation, **options)
        converse(invocation, response)

    patch.extract_converse_response = extract_converse_response

    def after(read: Any) -> Any:
        @functools.wraps(read)
        def extract(response: Any, raw: bytes, invocation: Any, **options: Any) -> None:
            read(response, raw, invocation, **options)
            body(invocation, response, raw)

        return extract

    # The asynchronous body is read where streams are.
    for module in (patch, stream):
        for name in ("extract_invoke_model_response", "extract_embedding_response"):
            setattr(module, name, after(getattr(module, name)))
    _follow_events(stream._BedrockConverseStreamMixin, event)
    _follow_events(stream._BedrockInvokeModelStreamMixin, chunk)
    setattr(patch, _MARK, True)


def _follow_events(cls: Any, told: Told) -> None:
    process = cls._process_chunk

    @functools.wraps(process)
    def process_chunk(self: Any, part: Any) -> None:
        told(self._self_invocation, part)
        process(self, part)

    cls._process_chunk = process_chunk


def let_go_of_streams() -> None:
    """Have a call whose answer is a stream leave the caller's context when the stream is handed over.

    As in `anthropic.let_go_of_streams`: upstream leaves it there until the stream has ended.
    """
    from opentelemetry.instrumentation.genai.bedrock import stream

    for name in (
        "BedrockConverseStreamWrapper",
        "AsyncBedrockConverseStreamWrapper",
        "BedrockInvokeModelStreamWrapper",
        "AsyncBedrockInvokeModelStreamWrapper",
        "AsyncBedrockStreamingBodyWrapper",
    ):
        cls = getattr(stream, name)
        if _MARK not in vars(cls):
            _let_go(cls)


def _let_go(cls: Any) -> None:
    init = cls.__init__

    @functools.wraps(init)
    def initialize(self: Any, wrapped: Any, invocation: Any, *args: Any, **kwargs: Any) -> None:
        init(self, wrapped, invocation, *args, **kwargs)
        invocation.suspend()

    cls.__init__ = initialize
    setattr(cls, _MARK, True)


def follow_retries(retried: Callable[[Any, BaseException | None, float], None]) -> None:
    """Have every attempt at Bedrock that is made again told of.

    botocore's event `needs-retry` asks several handlers, of which the first that answers decides; this is where the
    answer is known, and where it waits.

    Args:
        retried: Called after the wait with the status of the attempt or None, the exception that it met or None, and
            the wait in seconds.
    """
    from botocore import endpoint

    decide = endpoint.Endpoint._needs_retry
    if getattr(decide, _MARK, False):
        return

    @functools.wraps(decide)
    def needs_retry(  # noqa: PLR0913, PLR0917 - as botocore calls it
        self: Any,
        attempts: Any,
        operation_model: Any,
        request_dict: Any,
        response: Any = None,
        caught_exception: Any = None,
    ) -> bool:
        if operation_model.service_model.service_name != _SERVICE:
            return decide(self, attempts, operation_model, request_dict, response, caught_exception)
        start = time.monotonic()
        again = decide(self, attempts, operation_model, request_dict, response, caught_exception)
        if again:
            status = None if response is None else response[0].status_code
            retried(status, caught_exception, time.monotonic() - start)
        return again

    setattr(needs_retry, _MARK, True)
    endpoint.Endpoint._needs_retry = needs_retry


def leave_models_to_genai(extensions: Any) -> None:
    """Have upstream's instrumentor of botocore see calls of Bedrock as it sees those of any service of AWS.

    Its extension makes an inference of them under the names of 2024, with metrics: the same call twice.

    Args:
        extensions: `opentelemetry.instrumentation.botocore.extensions`.
    """
    extensions._BOTOCORE_EXTENSIONS.pop(_SERVICE, None)
