"""The environment, as settings read it."""

from __future__ import annotations

from typing import Any

import environ


class Environment(environ.Env):
    """An empty variable counts as one that is not set, so that `.env.example` works when it is copied as it is."""

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False
    ) -> Any:
        if default is not environ.Env.NOTSET and self.ENVIRON.get(var) == "":
            return default
        return super().get_value(var, cast=cast, default=default, parse_default=parse_default)
