"""A provider's keys: they are used in turn, and a key that the provider refuses is set aside.

So a key can be replaced without a failed call: configure the old key and the new one, and then revoke the old one at
the provider.
"""

from __future__ import annotations

from collections.abc import Callable

from llm.config import Provider

# How long a refused key is set aside. It is tried again then, because it may have been refused by mistake.
ASIDE_SECONDS = 300.0


class ProviderKeys:
    """The keys of one provider. `clock` is in seconds."""

    def __init__(self, provider: Provider, clock: Callable[[], float]) -> None:
        self._keys = provider.api_keys
        self._clock = clock
        self._turn = 0
        self._aside_until: dict[str, float] = {}

    @property
    def any(self) -> bool:
        """Whether there is any key."""
        return bool(self._keys)

    def take(self) -> str:
        """The next key. If all of them are set aside, they are used all the same. Empty if there is none."""
        usable = self._usable() or self._keys
        if not usable:
            return ""
        self._turn += 1
        return usable[self._turn % len(usable)]

    def refused(self, key: str) -> bool:
        """Set a key aside. Returns whether another one is left to try."""
        self._aside_until[key] = self._clock() + ASIDE_SECONDS
        return bool(self._usable())

    def accepted(self, key: str) -> None:
        """Use a key again that was set aside."""
        self._aside_until.pop(key, None)

    @property
    def state(self) -> str:
        """For people: `ok`, `no key`, or how many keys are set aside. It names no key."""
        if not self._keys:
            return "no key"
        aside = len(self._keys) - len(self._usable())
        return f"{aside} of {len(self._keys)} keys refused" if aside else "ok"

    def _usable(self) -> tuple[str, ...]:
        if not self._aside_until:
            return self._keys
        now = self._clock()
        return tuple(key for key in self._keys if self._aside_until.get(key, now) <= now)
