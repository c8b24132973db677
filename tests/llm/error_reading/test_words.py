"""What servers and providers say, word for word, and what it is; and words that look alike and are something else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.error_reading import read_error
from llm.errors import (
    ContextWindowExceeded,
    InvalidRequest,
    ModelNotFound,
    NotSupported,
    UnsupportedParameter,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
)
from tests.support.upstreams.wire_replay import WIRE_CASES

SERVERS = [server.get("error", server)["message"] for server in WIRE_CASES["prompt-too-long"]["upstreams"]]

# As their documentation, their source and the reports of their users have it.
ALSO_TOO_LONG = [
    # OpenAI
    "This model's maximum context length is 8191 tokens, however you requested 10346 tokens (10346 in your prompt; 0 "
    "for the completion). Please reduce your prompt; or completion length.",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300009 tokens. Please reduce "
    "the length of the messages.",
    # Anthropic
    "prompt is too long: 213462 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 198000 + 8192 > 200000, decrease input length or `max_tokens`",
    # Gemini
    "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
    # Bedrock
    "Input is too long for requested model.",
    # Groq, Cerebras
    "Please reduce the length of the messages or completion.",
    "Please reduce the length of the messages or completion. Current length is 10000 while limit is 8192",
    # Copilot, MiniMax, Kimi, DashScope, Cohere
    "prompt token count of 128000 exceeds the limit of 64000",
    "invalid params, context window exceeds limit (2013)",
    "Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)",
    "Range of input length should be [1, 30720]",
    "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.",
    # LM Studio
    "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length "
    "of only 4096 tokens, which is not enough.",
    "The number of tokens to keep from the initial prompt is greater than the context length.",
    "Context size has been exceeded.",
    # llama-cpp-python, tabbyAPI, vLLM, Fireworks
    "Requested tokens (2285) exceed context window of 2048",
    "Prompt length 5000 is greater than max_seq_len 4096",
    "The decoder prompt (length 3031) is longer than the maximum model length of 2048.",
    "max_tokens=999999 cannot be greater than max_model_len=81920. Please request fewer output tokens.",
    "The prompt is too long: 9000, model maximum context length: 8192",
    # vLLM, which looks at the characters before it counts tokens
    "This model's maximum context length is 32768 tokens. However, you requested 512 output tokens and your prompt "
    "contains 200000 characters (more than 131072 characters, which is the upper bound for 32768 input tokens).",
    # a wrapping gateway
    '{"error":{"code":400,"message":"request (3031 tokens) exceeds the available context size (2048 tokens)"}}',
]

# Of no length of a prompt, or of no prompt.
NOT_TOO_LONG = [
    "Invalid 'user': string too long. Expected a string with maximum length 64, but got one with length 80.",
    "Invalid 'metadata.team': string too long. Expected a string with maximum length 512, but got 600 instead.",
    "Invalid 'messages[0].name': string too long. Expected a string with maximum length 64.",
    "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length 64.",
    "Invalid 'prompt_cache_key': string too long. Expected a string with maximum length 64.",
    "messages.0.name: The name is too long",
    "The name of the tool is too long",
    "stop: list too long, at most 4 items",
    "metadata.key: String should have at most 64 characters",
    "max_tokens is too large: 50000. This model supports at most 16384 completion tokens, whereas you provided 50000.",
    "max_tokens: 10000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet",
    "Invalid image: the image is too large. It must be below 20 MB.",
    "413 Request Entity Too Large",
    "Request too large: the body has 60000000 bytes",
    "File is too large",
    "Model context window too small (minimum is 128k tokens)",
    "The response took too long",
    "Invalid value for 'context': expected an object",
    "n is too large: at most 128",
    "Invalid type for 'messages': expected an array of objects, but got a string instead.",
]

RATE_LIMITS = [
    "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 40000. The "
    "input or output tokens must be reduced in order to run successfully.",
    "Request too large for model `llama-3.1-8b-instant` on tokens per minute (TPM): Limit 6000, Requested 7000, please "
    "reduce your message size and try again.",
    "This request would exceed your organization's rate limit of 40,000 input tokens per minute.",
    "Rate limit reached for gpt-4o on tokens per day (TPD): Limit 90000, Used 90000, Requested 12.",
]


@pytest.mark.parametrize("status", [None, 200, 400, 404, 413, 422, 500, 503])
@pytest.mark.parametrize("message", [*SERVERS, *ALSO_TOO_LONG])
def test_a_prompt_that_is_too_long_is_known_by_its_words_whatever_the_status(message: str, status: int | None) -> None:
    for error in ({"message": message}, {"error": message}, {"detail": message}, message):
        read = read_error(error, http_status=status)
        assert type(read) is ContextWindowExceeded
        assert read.message == message


@pytest.mark.parametrize("message", NOT_TOO_LONG)
def test_other_things_that_are_too_long_are_the_callers_mistake(message: str) -> None:
    assert type(read_error({"message": message}, http_status=400)) is InvalidRequest
    assert type(read_error({"message": message}, http_status=413)) is InvalidRequest


@pytest.mark.parametrize("message", RATE_LIMITS)
@pytest.mark.parametrize("status", [200, 400, 413, 429])
def test_a_limit_of_tokens_in_a_time_is_a_rate_limit_whatever_the_status(message: str, status: int) -> None:
    assert type(read_error({"message": message, "type": "tokens"}, http_status=status)) is UpstreamRateLimited


@pytest.mark.parametrize("message", [*SERVERS, *ALSO_TOO_LONG])
@pytest.mark.parametrize("status", [401, 402, 429])
def test_a_refused_key_a_quota_and_a_rate_limit_are_what_their_status_says(message: str, status: int) -> None:
    assert type(read_error({"message": message}, http_status=status)) is not ContextWindowExceeded


NOT_SUPPORTED = [
    # Ollama
    "registry.ollama.ai/library/gemma3:4b does not support tools",
    '"nomic-embed-text" does not support chat',
    '"all-minilm" does not support generate',
    '"qwen3" does not support thinking',
    "this model does not support embeddings",
    "this model does not support image input",
    "this model is missing data required for image input",
    # llama.cpp
    "This server does not support embeddings. Start it with `--embeddings`",
    "This server does not support completions.",
    "This server does not support tools.",
    "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
    "audio input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
    "tools param requires --jinja flag",
    # vLLM
    "The model does not support Chat Completions API",
    "The model does not support Embeddings API",
    '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
    "some/model is not a multimodal model",
    "At most 0 image(s) may be provided in one request.",
    # LM Studio
    "Model does not support images. Please use a model that does.",
    # OpenAI
    "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use "
    "v1/completions?",
    "This is a chat model and not supported in the v1/completions endpoint. Did you mean to use v1/chat/completions?",
    "This model is only supported in v1/responses and not in v1/chat/completions.",
    "Invalid content type. image_url is only supported by certain models.",
    "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
    "Unsupported parameter: 'tools' is not supported with this model.",
    # OpenRouter, Azure, Gemini
    "No endpoints found that support tool use.",
    "No endpoints found that support image input",
    "The embeddings operation does not work with the specified model, gpt-4o. Please choose different model and try "
    "again.",
    "Developer instruction is not enabled for models/gemma-3-27b-it",
    "this model does not support images",
]

SOMETHING_ELSE = [
    "Invalid image format: image/tiff is not supported.",
    "audio/ogg is not supported; use wav or mp3",
    "Invalid schema for response_format 'x': In context=(), 'oneOf' is not permitted.",
    "Invalid value: 'tool'. Supported values are: 'system', 'assistant', 'user', 'function', and 'developer'.",
    "temperature must be between 0 and 2",
    "Only user and assistant roles are supported!",
    "tools: at most 128 tools may be given",
    "messages: at least one message is required",
    "You uploaded an unsupported image. Please make sure your image is valid.",
    "Unknown parameter: 'verbosity'.",
]


@pytest.mark.parametrize("status", [None, 200, 400, 404, 405, 422, 500, 501])
@pytest.mark.parametrize("message", NOT_SUPPORTED)
def test_what_a_model_can_not_do_is_known_by_its_words(message: str, status: int | None) -> None:
    assert type(read_error({"message": message}, http_status=status)) is NotSupported


@pytest.mark.parametrize("message", SOMETHING_ELSE)
def test_a_request_that_is_wrong_is_not_taken_for_one_that_the_model_can_not_do(message: str) -> None:
    assert type(read_error({"message": message}, http_status=400)) is InvalidRequest


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        ({"message": "You are not allowed to generate embeddings from this model"}, 403, NotSupported),
        ({"message": "You are not allowed"}, 403, UpstreamAuthFailed),
        ({"message": "anything"}, 501, NotSupported),
        ({"message": "anything"}, 405, NotSupported),
        (None, 501, NotSupported),
        ({"code": 501, "message": "anything", "type": "not_supported_error"}, 501, NotSupported),
        ({"message": "anything", "type": "not_supported_error"}, 400, NotSupported),
        ({"code": "OperationNotSupported", "message": "anything"}, 400, NotSupported),
        ({"code": "model_not_supported", "message": "The requested model is not supported."}, 400, NotSupported),
        ({"code": 501, "message": "anything"}, 200, NotSupported),
        ({"detail": "Not Found"}, 404, NotSupported),
        ("404 page not found", 404, NotSupported),
        ({"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}, 404, NotSupported),
        ({"message": "Invalid URL (POST /v1/embeddings)", "type": "invalid_request_error"}, 404, NotSupported),
        ({"detail": "Method Not Allowed"}, 405, NotSupported),
        ({"message": "The model `gpt-9` does not exist", "code": "model_not_found"}, 404, ModelNotFound),
        ({"error": 'model "llama9" not found, try pulling it first'}, 404, ModelNotFound),
        ({"message": "Model not found"}, 404, ModelNotFound),
        ({"message": "The embeddings service is not available right now."}, 503, UpstreamFailed),
        (
            {"message": "Unsupported value: 'temperature' does not support 0.2 with this model."},
            400,
            UnsupportedParameter,
        ),
        (
            {"message": "Unsupported parameter: 'max_tokens' is not supported with this model."},
            400,
            UnsupportedParameter,
        ),
    ],
)
def test_what_is_missing_is_told_apart(error: object, status: int, expected: type[UpstreamError]) -> None:
    assert type(read_error(error, http_status=status)) is expected


# Without most letters, because Hypothesis also tries the words that stand in the code, which do mean something.
Wordless = st.text(st.characters(exclude_characters="aeinotAEINOT", exclude_categories=["Cs"]), max_size=300)


@settings(max_examples=300, deadline=None, database=None)
@given(Wordless, st.sampled_from([400, 413, 422]))
def test_words_that_are_about_nothing_that_we_know_are_what_the_status_says(message: str, status: int) -> None:
    assert type(read_error({"message": message}, http_status=status)) is InvalidRequest


@settings(max_examples=100, deadline=1000, database=None)
@given(
    st.lists(st.sampled_from([*"(),.`' ", "prompt", "exceed", "context length", "tools", "is", "1"]), max_size=4_000)
)
def test_words_are_read_in_a_short_time_whatever_they_are(pieces: list[str]) -> None:
    assert isinstance(read_error({"message": "".join(pieces)}, http_status=400), UpstreamError)
