"""Who is calling, and what they may do."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from django.db.models import TextChoices
from rest_framework.exceptions import PermissionDenied

from access.limit_rules import Limits


class Scope(TextChoices):
    """Any key reads the calls and statistics of its own; what it may do beyond that:"""

    CHAT = "chat", "call models"
    READ_ALL = "read_all", "see the calls and statistics of every key"
    ADMIN = "admin", "everything"


@dataclass(frozen=True, slots=True)
class Caller:
    """A key, or an anonymous caller where no key is required: then `name` is empty.

    `models` are patterns; empty means every model. `address` is the client's, behind proxies that are trusted.
    """

    name: str
    address: str | None
    scopes: frozenset[str] = field(default_factory=frozenset)
    models: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def require(self, scope: Scope) -> None:
        """Raises PermissionDenied that names the scope."""
        if not self.may(scope):
            raise PermissionDenied(f"The API key '{self.name}' lacks the scope '{scope}'.")

    @property
    def sees_only(self) -> str | None:
        """The one key whose calls this caller may see; None where it may see all."""
        return None if self.may(Scope.READ_ALL) else self.name

    @property
    def changes_only(self) -> str | None:
        """The one key whose calls this caller may change; None where it may change all."""
        return None if self.may(Scope.ADMIN) else self.name

    @property
    def counted_as(self) -> str:
        """What limits are counted by: the key, or else the address, or its /64, all of which one IPv6 client has."""
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
    """Who calls without a key, where none is required: may do everything, within `limits`."""
    return Caller(name="", address=address, scopes=frozenset({Scope.ADMIN}), limits=limits)
