"""Upstream's instrumentor of LangChain: what it says when a model is asked and when it has answered, and what it imports.

It makes its handler of telemetry itself, and hands nobody the invocation that belongs to a run.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, cast

from otel_kpi._compat.runtime import after_import

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from opentelemetry.context import Context

_DONE: Final = "_otel_kpi_langchain"
_GONE: Final = "_otel_kpi_uninstrumented"
_LANGGRAPH: Final = "langgraph.pregel"


def follow_langchain(  # noqa: C901 - one function for each method of upstream's
    within: Callable[[Context], Context],
    asked: Callable[[Any, Any], AbstractContextManager[Any]],
    begun: Callable[[Any], None],
    answered: Callable[[Any, Any], None],
    address: Callable[[], tuple[str | None, int | None]],
) -> None:
    """Have LangChain's inferences told of, once for the process.

    Args:
        within: Gives the context in which something of a run begins; called with that of the run above it.
        asked: Called with what LangChain serialized of a model and the metadata of its run; is entered while it starts.
        begun: Called within `asked` with the inference that has begun.
        answered: Called with an inference and LangChain's result, before it ends.
        address: The host and the port of the model that is being asked, within `asked`.
    """
    from opentelemetry.instrumentation.genai import langchain as upstream
    from opentelemetry.instrumentation.genai.langchain.callback_handler import (
        OpenTelemetryLangChainCallbackHandler as Handler,
    )
    from opentelemetry.util.genai.handler import TelemetryHandler
    from opentelemetry.util.genai.invocation import InferenceInvocation

    if getattr(Handler, _DONE, False):
        return

    class Telemetry(cast("Any", TelemetryHandler)):  # as upstream calls it: by name
        """Upstream's, in the context of the caller."""

        def inference(self, provider: str, **kwargs: Any) -> Any:
            host, port = address()
            if host is not None:
                kwargs.setdefault("server_address", host)
                kwargs.setdefault("server_port", port)
            invocation = super().inference(provider, **_in_context(kwargs))
            begun(invocation)
            return invocation

        def tool(self, name: str, **kwargs: Any) -> Any:
            return super().tool(name, **_in_context(kwargs))

        def workflow(self, **kwargs: Any) -> Any:
            return super().workflow(**_in_context(kwargs))

        def invoke_local_agent(self, **kwargs: Any) -> Any:
            return super().invoke_local_agent(**_in_context(kwargs))

        def retrieval(self, **kwargs: Any) -> Any:
            return super().retrieval(**_in_context(kwargs))

    def _in_context(kwargs: dict[str, Any]) -> dict[str, Any]:
        if kwargs.get("context") is not None:
            kwargs["context"] = within(kwargs["context"])
        return kwargs

    start, end = Handler.on_chat_model_start, Handler.on_llm_end

    @functools.wraps(start)
    def on_chat_model_start(self: Any, serialized: Any, messages: Any, **kwargs: Any) -> None:
        with asked(serialized, kwargs.get("metadata")):
            start(self, serialized, messages, **kwargs)

    @functools.wraps(end)
    def on_llm_end(self: Any, response: Any, *, run_id: Any, **kwargs: Any) -> None:
        invocation = self._invocation_manager.get_invocation(run_id=run_id)
        if isinstance(invocation, InferenceInvocation):
            answered(invocation, response)
        end(self, response, run_id=run_id, **kwargs)

    cast("Any", upstream).TelemetryHandler = Telemetry
    Handler.on_chat_model_start = on_chat_model_start
    Handler.on_llm_end = on_llm_end
    setattr(Handler, _DONE, True)


def langgraph_when_imported() -> None:
    """Have upstream patch LangGraph when the application imports it, not when it imports LangChain: that is 0.3 s.

    Upstream's private `_patch` imports what it patches.
    """
    from opentelemetry.instrumentation.genai.langchain import LangChainInstrumentor
    from opentelemetry.instrumentation.genai.langchain._execution_context import _ExecutionContext

    execution: Any = _ExecutionContext
    if getattr(execution, _DONE, False):
        return
    patch, undo = execution._patch, execution.uninstrument
    entry_points = LangChainInstrumentor._instrument_agent_entry_points

    @functools.wraps(patch)
    def patch_when_imported(self: Any, module_name: str, *args: Any, **kwargs: Any) -> None:
        if module_name.partition(".")[0] != "langgraph":
            patch(self, module_name, *args, **kwargs)
            return
        after_import(
            _LANGGRAPH, lambda _: None if vars(self).get(_GONE) else patch(self, module_name, *args, **kwargs)
        )

    @functools.wraps(undo)
    def uninstrument(self: Any) -> None:
        setattr(self, _GONE, True)
        undo(self)

    def entry_points_when_imported(self: Any) -> None:
        # Upstream's order: these come over the patches, whose hooks were registered before.
        current = self._execution_context
        after_import(_LANGGRAPH, lambda _: None if vars(current).get(_GONE) else entry_points())

    execution._patch, execution.uninstrument = patch_when_imported, uninstrument
    cast("Any", LangChainInstrumentor)._instrument_agent_entry_points = entry_points_when_imported
    setattr(execution, _DONE, True)


def within_run(run: Context, now: Context) -> Context:
    """The current context, in the place of a run: with its span, and within the inference that it is within.

    Upstream takes the context that was current when the run above began, and loses what the application has put in
    its context since then.
    """
    from opentelemetry.context import Context, get_value, set_value
    from opentelemetry.trace import get_current_span, set_span_in_context
    from opentelemetry.util.genai._conversation_context import CONVERSATION_ID_KEY
    from opentelemetry.util.genai.invocation import CLIENT_INFERENCE_CONTEXT_KEY, CLIENT_RETRIEVAL_CONTEXT_KEY

    if not now or now is run:
        return run
    context = set_span_in_context(get_current_span(run), Context({**run, **now}))
    for key in (CLIENT_INFERENCE_CONTEXT_KEY, CLIENT_RETRIEVAL_CONTEXT_KEY, CONVERSATION_ID_KEY):
        context = set_value(key, get_value(key, context=run), context=context)
    return context
