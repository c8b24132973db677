"""The whole answer that a client would have put together from a stream, one accumulator for each operation."""

from llm.operations.accumulation.base import Accumulator
from llm.operations.accumulation.chat import ChatAccumulator
from llm.operations.accumulation.completions import CompletionAccumulator
from llm.operations.accumulation.content import text_of
from llm.operations.accumulation.responses import ResponseAccumulator

__all__ = ["Accumulator", "ChatAccumulator", "CompletionAccumulator", "ResponseAccumulator", "text_of"]
