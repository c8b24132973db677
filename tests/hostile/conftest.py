"""Upstreams written by hand, and keys, as other tests have them; and a site whose upstream says what it likes."""

from tests.access.conftest import make_key
from tests.chat.openai_protocol.conftest import written_site

__all__ = ["make_key", "written_site"]
