from django.apps import AppConfig
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper


class SiteConfig(AppConfig):
    """Holds the management commands (runserver, simulator) and the system checks."""

    name = "orchestration_site"

    def ready(self) -> None:
        from orchestration_site.checks import deploy as deployment_checks  # noqa: F401 - they register themselves
        from orchestration_site.checks import start as checks  # noqa: F401 - they register themselves

        if settings.DEBUG:
            # Django keeps the last 9,000 statements of a connection, and forgets them when a request begins. Tasks have
            # connections too, in which none ever does, and a statement may hold a prompt.
            BaseDatabaseWrapper.queries_limit = 0
