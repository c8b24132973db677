"""The whole answer of a stream of a response's events: the response, its output, and each item of that."""

from llm.operations.accumulation.responses.accumulator import ResponseAccumulator

__all__ = ["ResponseAccumulator"]
