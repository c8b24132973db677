"""Makes API keys, and a site whose upstream answers what a test writes."""

from tests.access.conftest import make_key
from tests.support.upstreams.written_upstream import written_site

__all__ = ["make_key", "written_site"]
