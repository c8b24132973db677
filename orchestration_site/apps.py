from django.apps import AppConfig
from django.conf import settings

from orchestration_site.compat import keep_no_statements


class SiteConfig(AppConfig):
    """Holds the management commands (runserver, serve, simulator) and the system checks."""

    name = "orchestration_site"

    def ready(self) -> None:
        from orchestration_site.checks import deploy, start  # noqa: F401 - they register themselves

        if settings.DEBUG:
            keep_no_statements()
