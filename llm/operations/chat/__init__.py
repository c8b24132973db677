"""Chat completions: the operation, what a message holds, the text of a stream, and a completion as chunks."""

from llm.operations.chat.completions import CHAT_COMPLETIONS

__all__ = ["CHAT_COMPLETIONS"]
