"""From what an upstream says, or the HTTP client raises, to our own errors: by shape, name, status and words."""

from llm.error_reading.reading import read_error, read_exception
from llm.error_reading.shapes import error_in

__all__ = ["error_in", "read_error", "read_exception"]
