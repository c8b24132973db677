"""The ASGI application: Django, with a lifespan that opens and closes what lives as long as the process."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestration_site.settings")
django_application = get_asgi_application()

# Below, because these need Django to be set up.
from django.conf import settings  # noqa: E402

from orchestration_site.http.body_limit import BodyLimit  # noqa: E402
from orchestration_site.http.doors import Doors  # noqa: E402
from orchestration_site.http.measured_bodies import MeasuredBodies  # noqa: E402
from orchestration_site.http.proxies import TrustedProxies, read_networks  # noqa: E402
from orchestration_site.http.request_id import RequestId  # noqa: E402
from orchestration_site.http.static_files import StaticFiles  # noqa: E402
from orchestration_site.lifespan import Lifespan  # noqa: E402
from orchestration_site.process import open_service  # noqa: E402

with_static_files: Any = StaticFiles(django_application)
doors = Doors(MeasuredBodies(with_static_files), settings.API_MIDDLEWARE)
limited = BodyLimit(doors, max_bytes=settings.MAX_BODY_BYTES)
behind_proxies = TrustedProxies(limited, read_networks(settings.TRUSTED_PROXIES))
application = Lifespan(RequestId(behind_proxies), open_service)
