"""Reading the prompt out of a body: of chat completions, of responses, and of the inputs of the other APIs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm.costs.estimates.images import ImageRule, image_rule_of
from llm.costs.estimates.media import add_audio, add_file, add_image
from llm.costs.estimates.prompt import Prompt
from llm.costs.estimates.tools import add_schema, add_tools
from llm.costs.tokens import Vocabulary, vocabulary_of

# Tokens that frame each message, that begin the answer, and that go with a name. Source: OpenAI Cookbook, "How to
# count tokens with tiktoken".
TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3
TOKENS_PER_NAME = 1

# Tokens that frame a call of a tool in the history, together with its result. Found by experiment with gpt-3.5-turbo:
# https://community.openai.com/t/strange-token-cost-calculation-for-tool-calls/538914
TOKENS_PER_TOOL_CALL = 5

# Roles of a single token in each vocabulary, so that they need not be counted.
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})

# Fields of a message, or of an item of a response, that hold text, or parts with text, in this order.
TEXT_FIELDS = (
    "reasoning_content",
    "content",
    "refusal",
    "arguments",
    "input",
    "output",
    "summary",
)

# Thoughts that the provider has encrypted are a base64 text of about so many characters for each token.
ENCRYPTED_CHARACTERS_PER_TOKEN = 6

# Fields of a part of a content that hold its text.
PART_TEXT_FIELDS = ("text", "refusal", "thinking")

# Kinds of parts, as the APIs and other vendors name them.
IMAGES = frozenset({"image_url", "input_image", "image", "computer_screenshot"})
FILES = frozenset({"file", "input_file"})


def counted_as(model: str) -> tuple[Vocabulary, ImageRule]:
    """How a model counts a prompt. Models of which this is the same count the same."""
    return vocabulary_of(model), image_rule_of(model)


def read_chat(body: Mapping[str, Any], model: str) -> Prompt:
    """The prompt of a chat completion."""
    prompt = Prompt()
    add_tools(prompt, model, body)
    add_schema(prompt, body.get("response_format"))
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        _add_message(prompt, model, message)
    prompt.frame += TOKENS_PER_REPLY
    return prompt


def read_response(body: Mapping[str, Any], model: str) -> Prompt:
    """The prompt of a response. What an earlier response holds, to which an id refers, is not in it."""
    prompt = Prompt()
    add_tools(prompt, model, body)
    text = body.get("text")
    add_schema(prompt, text.get("format") if isinstance(text, Mapping) else None)
    if instructions := body.get("instructions"):
        _add_message(prompt, model, {"role": "system", "content": instructions})
    asked = body.get("input")
    for item in asked if isinstance(asked, list) else [asked]:
        _add_message(prompt, model, {"role": "user", "content": item} if isinstance(item, str) else item)
    prompt.frame += TOKENS_PER_REPLY
    return prompt


def read_input(value: object) -> Prompt:
    """The prompt of a text completion or of embeddings: a text, tokens, or a list of any of them."""
    prompt = Prompt()
    _add_input(prompt, value)
    return prompt


def _add_input(prompt: Prompt, value: object) -> None:
    if isinstance(value, str):
        prompt.add_text(value)
    elif isinstance(value, Mapping):
        _add_message(prompt, "", value)
    elif isinstance(value, list):
        tokens = sum(isinstance(entry, int) for entry in value)
        prompt.frame += tokens
        if tokens < len(value):
            for entry in value:
                _add_input(prompt, entry)


def _add_message(prompt: Prompt, model: str, message: object) -> None:
    """Count a message, or an item of a response: a call of a tool, its result, or what the model thought."""
    if not isinstance(message, Mapping):
        return
    prompt.frame += TOKENS_PER_MESSAGE
    role = message.get("role")
    if role in ROLES:
        prompt.frame += 1
        prompt.beginnings.append(str(role))
    elif isinstance(role, str):
        prompt.add_text(role)
    if isinstance(name := message.get("name"), str):
        prompt.frame += TOKENS_PER_NAME
        prompt.add_text(name)
    if message.get("type") in ("function_call", "custom_tool_call"):
        prompt.frame += TOKENS_PER_TOOL_CALL
    for field in TEXT_FIELDS:
        _add_content(prompt, model, message.get(field))
    if isinstance(thoughts := message.get("encrypted_content"), str):
        prompt.frame += len(thoughts) // ENCRYPTED_CHARACTERS_PER_TOKEN
        prompt.add_data(thoughts)
    calls = message.get("tool_calls")
    for call in [*(calls if isinstance(calls, list) else ()), {"function": message.get("function_call")}]:
        _add_call(prompt, call)


def _add_call(prompt: Prompt, call: object) -> None:
    called = (call.get("function") or call.get("custom")) if isinstance(call, Mapping) else None
    if isinstance(called, Mapping):
        prompt.frame += TOKENS_PER_TOOL_CALL
        prompt.add_text(str(called.get("name") or ""))
        prompt.add_text(str(called.get("arguments") or called.get("input") or ""))


def _add_content(prompt: Prompt, model: str, content: object) -> None:
    if isinstance(content, str):
        prompt.add_text(content)
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, Mapping):
            _add_part(prompt, model, part)
        elif isinstance(part, str) and part is not content:
            prompt.add_text(part)


def _add_part(prompt: Prompt, model: str, part: Mapping[str, Any]) -> None:
    kind = part.get("type")
    texts = [text for field in PART_TEXT_FIELDS if isinstance(text := part.get(field), str)]
    for text in texts:
        prompt.add_text(text)
    if kind in IMAGES or "image_url" in part:
        add_image(prompt, model, part.get("image_url") or part.get("image") or part.get("source"), part.get("detail"))
    elif kind == "input_audio":
        add_audio(prompt, part.get("input_audio"))
    elif kind in FILES:
        file = part.get("file")
        add_file(prompt, file if isinstance(file, Mapping) else part)
    elif not texts:
        prompt.unread_bytes += sum(map(len, _texts_within(part)))


def _texts_within(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [text for each in inner for text in _texts_within(each)]
