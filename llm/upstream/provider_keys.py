"""A provider's keys: used in turn, and one that the provider refuses is set aside.

So a key is rotated without a restart: list the old and the new one, and revoke the old one at the provider whenever you
like.
"""

from __future__ import annotations

from collections.abc import Callable

from llm.config import Provider

ASIDE_SECONDS = 300.0
"""How long a refused key rests before it is tried again: it may have been refused by mistake."""


class ProviderKeys:
    """The keys of one provider. `clock` is in seconds."""

    def __init__(self, provider: Provider, clock: Callable[[], float]) -> None:
        self._keys = provider.api_keys
        self._clock = clock
        self._turn = 0
        self._aside_until: dict[str, float] = {}

    @property
    def any(self) -> bool:
        return bool(self._keys)

    def take(self) -> str:
        """The next key. If all of them were refused, they are tried all the same. Empty where there is none."""
        usable = self._usable() or self._keys
        if not usable:
            return ""
        self._turn += 1
        return usable[self._turn % len(usable)]

    def refused(self, key: str) -> bool:
        """Set a key aside. Says whether another one is left to try."""
        self._aside_until[key] = self._clock() + ASIDE_SECONDS
        return bool(self._usable())

    def accepted(self, key: str) -> None:
        self._aside_until.pop(key, None)

    @property
    def state(self) -> str:
        """For people: `ok`, `no key`, or how many were refused. It names no key."""
        if not self._keys:
            return "no key"
        aside = len(self._keys) - len(self._usable())
        return f"{aside} of {len(self._keys)} keys refused" if aside else "ok"

    def _usable(self) -> tuple[str, ...]:
        if not self._aside_until:
            return self._keys
        now = self._clock()
        return tuple(key for key in self._keys if self._aside_until.get(key, now) <= now)
