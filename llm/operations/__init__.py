"""The OpenAI APIs that the engine can conduct. Each is one `Operation`."""

from llm.operations.base import Operation, StreamReader
from llm.operations.chat_completions import CHAT_COMPLETIONS
from llm.operations.completions import COMPLETIONS
from llm.operations.embeddings import EMBEDDINGS
from llm.operations.responses import RESPONSES

__all__ = ["CHAT_COMPLETIONS", "COMPLETIONS", "EMBEDDINGS", "RESPONSES", "Operation", "StreamReader"]
