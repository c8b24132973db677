from django.apps import AppConfig


class SiteConfig(AppConfig):
    """Holds the management commands (runserver, simulator) and the system checks."""

    name = "orchestration_site"

    def ready(self) -> None:
        from orchestration_site import checks, deployment_checks  # noqa: F401 - they register themselves
