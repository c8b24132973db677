"""`manage.py check` is Django's command. Ours also tries the folders, as each start of the service does."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.core.management.commands.check import Command as CheckCommand

from orchestration_site.start import try_folders


class Command(CheckCommand):
    def handle(self, *app_labels: Any, **options: Any) -> None:
        super().handle(*app_labels, **options)
        if options["list_tags"]:
            return
        try:
            try_folders()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
