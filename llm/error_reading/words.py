"""What an error means by its words, for the many servers that have no code for it.

The patterns were taken from what servers say and from what their users report; tests/llm/error_reading has these words,
and words that look alike and mean something else. They are made to be sure rather than complete: a prompt that is too
long and is not seen as such stays what its status says.
"""

from __future__ import annotations

import re

# How many characters of an error are searched. What is wrong is said at the beginning.
SEARCHED = 4_000


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


# A limit on how much is sent in a time. It speaks of tokens and of too much, as a prompt that is too long does.
_IN_A_TIME = _any_of(
    r"\b(?:tokens?|requests?) per (?:sec|min|hour|day|month)",
    r"\((?:tpm|rpm|tpd|rpd)\)",
    r"\brate[ _-]?limit",
    r"\bthis minute\b",
    r"\btoo many requests\b",
    r"\bthrottl",
    r"\bquota\b",
    r"\bplease wait\b",
)
_TOKENS_IN_A_TIME = _any_of(r"\btokens? per (?:sec|min|hour|day)", r"\((?:tpm|tpd)\)")

# How much a model can take at once, as servers call it.
_WINDOW = r"context[ _-]?(?:length|size|window|limit)"
_LARGER_THAN = r"(?:longer|larger|greater|more|bigger) than (?:the )?(?:model'?s? )?"
_MODEL_LIMIT = r"max_(?:model_len|seq_len|sequence_length|position_embeddings|input_length|total_tokens)\b"

_PROMPT_TOO_LONG = _any_of(
    r"context_length_exceeded|exceed_context_size",
    # OpenAI, vLLM, SGLang, Mistral, DeepSeek, OpenRouter, xAI
    r"maximum (?:context|prompt|sequence|model) (?:length|size|window)",
    # llama.cpp, Ollama, OpenAI's responses, Anthropic, llama-cpp-python
    rf"exceed\w*[^.]{{0,80}}\b{_WINDOW}",
    # MiniMax, LM Studio
    rf"{_WINDOW}[^.]{{0,40}}\bexceed|context the overflows|reached context length|{_WINDOW} is only",
    # SGLang, LM Studio, vLLM, tabbyAPI
    rf"{_LARGER_THAN}(?:max(?:imum)? )?context\b",
    rf"(?:{_LARGER_THAN}|exceed\w* (?:the )?){_MODEL_LIMIT}",
    # vLLM, Anthropic, llama.cpp with embeddings, Bedrock
    r"\bprompt['`\"]?(?: \([^()]{0,80}\)| length)?(?: is| was)? too (?:long|large|big)\b",
    r"\binputs?['`\"]?(?: \([^()]{0,80}\)| length)?(?: is| are| was)? too (?:long|large) "
    r"(?:for (?:the |this )?(?:requested )?model|to process)",
    # TGI
    r"\binputs?`? tokens \+ `?max_new_tokens`? must be <=|\binputs?`? must have less than \d+ tokens",
    # Gemini, Copilot, Cohere, Bedrock
    r"(?:input|prompt) token count[^.]{0,60}\bexceeds?\b",
    r"too many (?:input|prompt) tokens|too many tokens[^.]{0,40}\bin the prompt",
    # Groq, Cerebras, OpenAI
    r"reduce (?:the )?(?:length|size) of (?:the |your )?(?:input |chat )?(?:messages|prompt|input)\b",
    r"current length is \d+ while limit is",
    # Kimi, DashScope, Zhipu
    r"exceed\w* (?:the )?(?:model )?token limit|range of input length should be|prompt exceeds (?:the )?max",
)

# What a model may lack, as servers call it.
_FEATURE = (
    r"(?:tools?\b|tool[ _-]?(?:calls?|calling|use|choice)\b|function[ _-]?call(?:s|ing)?\b|functions\b"
    r"|(?:images?|audio|video)\b(?![/.]\w)|image_url\b|vision\b|multi-?modal\b|pdfs?\b|file inputs?\b"
    r"|chat\b|completions?\b|generate\b|(?:text )?generation\b|embeddings?\b|rerank|infill\b|responses api\b"
    r"|reasoning\b|thinking\b|json[ _](?:mode|schema|object)\b|structured outputs?\b|response[ _]format\b|grammars?\b"
    r"|(?:top_)?logprobs\b|stream(?:ing)?\b|(?:system|developer) (?:messages?|prompts?|roles?|instructions?)\b"
    r"|(?:assistant )?prefill|this (?:operation|endpoint|feature|method)\b)"
)

_NOT_SUPPORTED = _any_of(
    # Ollama, llama.cpp, vLLM, LM Studio
    rf"\b(?:does not|doesn't|do not|don't|cannot|can't) (?:currently |yet )?(?:support|accept|handle) "
    rf"(?:the |any |using )?['\"`]?{_FEATURE}",
    rf"\b{_FEATURE}['\"`]?(?: inputs?| mode| parameter)? (?:is|are) (?:currently )?"
    r"(?:not (?:currently |yet )?(?:supported|enabled|implemented)|unsupported|only supported)",
    # OpenAI, vLLM
    r"\bnot an? (?:chat|completions?|embeddings?|multi-?modal|vision|text[- ]generation|generative|reasoning) model",
    r"is a chat model and not supported|(?:only|not) supported in (?:the )?v1/",
    r"not allowed to (?:sample|generate embeddings) from this model",
    r"\b(?:not supported|unsupported|only supported) (?:with|by|for|in) "
    r"(?:this|certain|the (?:specified|requested|selected|given)) (?:models?|endpoint|deployment|server|provider)\b",
    # Azure, OpenRouter, llama.cpp, vLLM, Ollama
    r"operation does not work with the specified model",
    r"no endpoints? found that (?:can )?support",
    r"\brequires? (?:the )?--[a-z]",
    r"missing data required for image input|\bat most 0 (?:image|audio|video)",
)

# What servers say of an address that they do not have, where a 404 for a model says which model.
_NO_SUCH_ENDPOINT = _any_of(
    r"^\W*(?:404:?\s)?(?:page |file |path |route |url |endpoint )?not found\W*$",
    r"^\W*cannot post /|\binvalid url\b|\bunknown (?:request )?(?:url|path|endpoint)\b",
    r"\bno (?:such )?(?:route|endpoint|handler)\b|\bmethod not allowed\b",
)


def is_token_rate_limit(message: str) -> bool:
    """More tokens in a minute or day than the account may use."""
    return _TOKENS_IN_A_TIME.search(_searched(message)) is not None


def is_prompt_too_long(message: str) -> bool:
    """The prompt, or prompt and answer together, are longer than this model takes."""
    searched = _searched(message)
    return _PROMPT_TOO_LONG.search(searched) is not None and _IN_A_TIME.search(searched) is None


def is_not_supported(message: str) -> bool:
    """The model, or its server, can't do what was asked for: tools, images, embeddings, …"""
    return _NOT_SUPPORTED.search(_searched(message)) is not None


def is_no_such_endpoint(message: str) -> bool:
    """The server has no such address, so it is not the model that is missing."""
    return _NO_SUCH_ENDPOINT.search(_searched(message)) is not None


def refused_parameter(message: str) -> tuple[str, bool] | None:
    """The parameter that a message refuses in OpenAI's words, and whether it refuses only its value."""
    found = re.search(r"unsupported (parameter|value): '([\w.]{1,100})'", _searched(message))
    return (found[2], found[1] == "value") if found else None


def _searched(message: str) -> str:
    return " ".join(message[:SEARCHED].lower().split())
