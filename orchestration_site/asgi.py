"""The ASGI application: Django, and the layers of `orchestration_site.http` around it, the innermost layer first."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application

from orchestration_site.start import STARTUP_FAILURE, read_settings_or_exit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestration_site.settings")
read_settings_or_exit(STARTUP_FAILURE)
django_application = get_asgi_application()

# These imports stand below, because they need Django to be set up.
from django.conf import settings  # noqa: E402

from orchestration_site.http.addresses import Addresses  # noqa: E402
from orchestration_site.http.bodies.body_limit import BodyLimit  # noqa: E402
from orchestration_site.http.bodies.measured_bodies import MeasuredBodies  # noqa: E402
from orchestration_site.http.door_dispatcher import DoorDispatcher  # noqa: E402
from orchestration_site.http.proxies import TrustedProxies, read_networks  # noqa: E402
from orchestration_site.http.request_id import RequestId  # noqa: E402
from orchestration_site.http.static_files import StaticFiles  # noqa: E402
from orchestration_site.lifespan import Lifespan  # noqa: E402
from orchestration_site.process import open_service  # noqa: E402

with_static_files: Any = StaticFiles(django_application)
with_doors = DoorDispatcher(MeasuredBodies(with_static_files), settings.API_MIDDLEWARE)
with_body_limit = BodyLimit(with_doors, max_bytes=settings.MAX_BODY_BYTES, middleware=settings.API_MIDDLEWARE)
with_proxies = TrustedProxies(with_body_limit, read_networks(settings.TRUSTED_PROXIES))
with_addresses = Addresses(with_proxies)
with_request_id = RequestId(with_addresses)
application = Lifespan(with_request_id, open_service)
