"""Reads the settings out of the environment and `.env`: strictly, each by its kind.

A value that can't be read raises SettingError or ImproperlyConfigured, whose text is one line that names the variable
and shows nothing secret. `orchestration_site.start` ends the process with that line.
"""

from __future__ import annotations

from orchestration_site.setting_values.errors import SettingError
from orchestration_site.setting_values.reader import Environment, checked_by

__all__ = ["Environment", "SettingError", "checked_by"]
