"""Who is calling, and what they may do."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from django.db.models import TextChoices
from rest_framework.exceptions import PermissionDenied

from access.limit_rules import Limits


class Scope(TextChoices):
    """What a key may do. Every key may see its own calls and statistics, even without a scope."""

    CHAT = "chat", "call models"
    READ_ALL = "read_all", "see the calls and statistics of every key"
    ADMIN = "admin", "everything"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: an API key, or if no key is required, an anonymous client, whose `name` is empty.

    `models` are patterns of model names. If there are none, every model is allowed. `address` is the client's own
    address, even if the client is behind a trusted proxy.
    """

    name: str
    address: str | None
    scopes: frozenset[str] = field(default_factory=frozenset)
    models: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def require(self, scope: Scope) -> None:
        """Raises PermissionDenied, which names the missing scope."""
        if not self.may(scope):
            raise PermissionDenied(f"The API key '{self.name}' lacks the scope '{scope}'.")

    @property
    def sees_only(self) -> str | None:
        """The name of the only key whose calls this caller may see. None if it may see all calls."""
        return None if self.may(Scope.READ_ALL) else self.name

    @property
    def changes_only(self) -> str | None:
        """The name of the only key whose calls this caller may change. None if it may change all calls."""
        return None if self.may(Scope.ADMIN) else self.name

    @property
    def id(self) -> str:
        """The text that limits are counted by: the key, or else the address.

        An IPv6 address is counted by its /64 network, because one client usually has all addresses of such a network.
        """
        if self.name:
            return f"key:{self.name}"
        try:
            address = ipaddress.ip_address(self.address or "")
        except ValueError:
            return "address:unknown"
        if address.version == 4:
            return f"address:{address}"
        return f"address:{ipaddress.ip_network((address, 64), strict=False)}"


def anonymous(address: str | None, limits: Limits) -> Caller:
    """A caller without a key, where no key is required. It may do everything within `limits`."""
    return Caller(name="", address=address, scopes=frozenset({Scope.ADMIN}), limits=limits)
