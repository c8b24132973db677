"""OpenAI's APIs as the engine sees them: one `Operation` for each API that it can race, stream and fall back across."""

from llm.operations.chat import CHAT_COMPLETIONS
from llm.operations.completions import COMPLETIONS
from llm.operations.embeddings import EMBEDDINGS
from llm.operations.operation import Operation, StreamReader
from llm.operations.responses import RESPONSES

__all__ = ["CHAT_COMPLETIONS", "COMPLETIONS", "EMBEDDINGS", "RESPONSES", "Operation", "StreamReader"]
