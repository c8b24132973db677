"""Upstreams written by hand, and keys, as other tests have them; and a site whose upstream says what it likes."""

from tests.access.conftest import make_key
from tests.chat.doors.openai.conftest import written_site

__all__ = ["make_key", "written_site"]
