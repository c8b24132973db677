#!/usr/bin/env python
"""Runs Django's management commands for this project."""

import os
import signal
import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        # The service takes a second or two to start. Until it handles SIGTERM itself, there is nothing to save. The
        # kernel ignores the signal for the first process of a container that does not handle it.
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestration_site.settings")
    from django.core.management import execute_from_command_line

    from orchestration_site.start import read_settings_or_exit

    read_settings_or_exit()
    execute_from_command_line(sys.argv)
