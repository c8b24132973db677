"""Guesses of what a provider bills and does not tell: of prompts, of hidden thoughts, of caches, of whole answers."""

from llm.costs.estimates.bounds import answers_asked, completion_bound
from llm.costs.estimates.experience import Experience, ModelKey
from llm.costs.estimates.prompt import Prompt, PromptTokens
from llm.costs.estimates.reading import counted_as, read_chat, read_input, read_response

__all__ = [
    "Experience",
    "ModelKey",
    "Prompt",
    "PromptTokens",
    "answers_asked",
    "completion_bound",
    "counted_as",
    "read_chat",
    "read_input",
    "read_response",
]
