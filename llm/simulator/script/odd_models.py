"""Built-in models that do what other servers do and OpenAI does not: odd answers, and faults of another shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from llm.simulator.openai_errors import error_object
from llm.simulator.script.behaviour import Behaviour
from llm.simulator.script.sim_model import SimModel

# The words of llama.cpp's server for a prompt that is too long.
_TOO_LONG = {
    "code": 400,
    "type": "exceed_context_size_error",
    "message": "request (3031 tokens) exceeds the available context size (2048 tokens), try increasing it",
}
_NOT_CHAT = error_object(
    "invalid_request_error",
    "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
    param="model",
)
_DETAIL = '{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required"}]}'
_OBJECT_ERROR = (
    '{"object":"error","message":"maximum context length is 4096 tokens","type":"BadRequestError","code":400}'
)
_ERROR_EVENT = 'event: error\ndata: {"code":"InvalidParameter","message":"temperature is too high"}\n\n'

# What other servers do that OpenAI does not. All of it is an answer.
ODD_ANSWERS: Final[Mapping[str, SimModel]] = {
    "sim-json-for-stream": SimModel("answers whole although a stream was asked for", Behaviour(answer_as="whole")),
    "sim-events-for-json": SimModel("answers as a stream although none was asked for", Behaviour(answer_as="stream")),
    "sim-events-as-json": SimModel(
        "a stream whose Content-Type is application/json", Behaviour(stream_content_type="application/json")
    ),
    "sim-events-as-html": SimModel(
        "a stream whose Content-Type is text/html", Behaviour(stream_content_type="text/html")
    ),
    "sim-gzip": SimModel("answers and streams in gzip, asked or not", Behaviour(content_encoding="gzip")),
    "sim-null-events": SimModel(
        "`data: null`, empty events and comments in between", Behaviour(twists=("null_events",))
    ),
    "sim-no-blank-line": SimModel("a stream's last event has no blank line", Behaviour(twists=("no_blank_line",))),
    "sim-pair-cut": SimModel(
        "a character is cut in two between chunks", Behaviour(answer="Hi 😀 there.", twists=("cut_pairs",))
    ),
    "sim-done-only": SimModel("ends with no finish reason, but with [DONE]", Behaviour(twists=("done_only",))),
    "sim-null-reason": SimModel(
        'the finish reason is the text "null" until the end', Behaviour(twists=("null_reason",))
    ),
    "sim-goes-on": SimModel("a stream goes on after a finish reason", Behaviour(twists=("goes_on",))),
    "sim-full-message": SimModel("a stream's last frame repeats the message", Behaviour(twists=("full_message",))),
    "sim-parts": SimModel("content as parts, then as text", Behaviour(twists=("parts",))),
    "sim-audio": SimModel("audio with a transcript, and no text", Behaviour(twists=("audio_only",))),
    "sim-tool-no-index": SimModel(
        "a streamed tool call has no index", Behaviour(tool_call=True, twists=("tool_no_index",))
    ),
    "sim-no-stream-options": SimModel("422 for `stream_options`", Behaviour(forbid=("stream_options",))),
    "sim-usage-zeros": SimModel("usage of 0 tokens", Behaviour(twists=("usage_zeros",))),
    "sim-usage-negative": SimModel("usage of -1 tokens for the answer", Behaviour(twists=("usage_negative",))),
    "sim-usage-halves": SimModel("a stream's usage in two chunks", Behaviour(twists=("usage_halves",))),
    "sim-usage-in-choice": SimModel("usage inside a choice, as Moonshot's", Behaviour(twists=("usage_in_choice",))),
    "sim-usage-beside": SimModel(
        "70 reasoning tokens beside the completion's, as xAI's",
        Behaviour(reasoning_tokens=70, twists=("usage_beside",)),
    ),
    "sim-usage-deepseek": SimModel(
        "90 cached tokens in DeepSeek's words", Behaviour(cached_tokens=90, twists=("usage_deepseek",))
    ),
}

# Answers that are none, and errors of other shapes.
ODD_FAULTS: Final[Mapping[str, SimModel]] = {
    "sim-thinks-only": SimModel("thoughts, no answer, finish reason `stop`", Behaviour(twists=("thinks_only",))),
    "sim-finish-error": SimModel('half an answer, finish reason "error"', Behaviour(twists=("finish_error",))),
    "sim-too-long": SimModel(
        "400 for any prompt: too long, in llama.cpp's words", Behaviour(status=400, error=_TOO_LONG)
    ),
    "sim-not-chat": SimModel("404: the model has not this endpoint", Behaviour(status=404, error=_NOT_CHAT)),
    "sim-detail": SimModel('422 {"detail": …}', Behaviour(status=422, raw_body=_DETAIL)),
    "sim-object-error": SimModel('a 200 with {"object": "error", …}', Behaviour(raw_body=_OBJECT_ERROR)),
    "sim-event-error": SimModel(
        "a 200 with one event, `event: error`", Behaviour(raw_body=_ERROR_EVENT, content_type="text/event-stream")
    ),
}
