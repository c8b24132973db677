"""Reads the environment variables for the settings."""

from __future__ import annotations

from typing import Any

import environ


class Environment(environ.Env):
    """Takes an empty variable for one that is not set, so that an unchanged copy of `.env.example` works as `.env`."""

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False
    ) -> Any:
        if default is not environ.Env.NOTSET and self.ENVIRON.get(var) == "":
            return default
        return super().get_value(var, cast=cast, default=default, parse_default=parse_default)
