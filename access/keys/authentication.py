"""Authentication of the API: `Authorization: Bearer KEY` or `X-API-Key: KEY`.

The settings make the two classes the defaults of REST framework, so that a view is closed unless it says that it is
open. They are synchronous on purpose: REST framework's async views run them in a thread anyway, and in that thread a
key that is not cached can be read directly. A view that does not belong to REST framework calls `authenticate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from access.callers import Caller, anonymous
from access.keys.key_facts import KeyFacts
from access.keys.keyring import Keyring
from access.keys.secret_keys import PREFIX
from access.limit_rules import Limits, parse_rate

SCHEME = "Bearer"


class ApiKeyAuthentication(BaseAuthentication):
    """Sets `request.auth` to the Caller of the key. Without a key it stays empty, and `ApiKeyPermission` decides."""

    def authenticate(self, request: Request) -> tuple[None, Caller] | None:
        secret = _our_secret(request)
        if secret is None:
            return None
        return None, _caller(keyring_of(request).find(secret), request)

    def authenticate_header(self, request: Request) -> str:
        return SCHEME


class ApiKeyPermission(BasePermission):
    """Refuses a request without a key if the settings require one."""

    def has_permission(self, request: Request, view: Any) -> bool:
        caller_of(request)
        return True


def caller_of(request: Request) -> Caller:
    """Who is calling, after authentication. Raises NotAuthenticated if a key is required and there is none."""
    return request.auth if isinstance(request.auth, Caller) else _without_key(request)


async def authenticate(request: HttpRequest) -> Caller:
    """Who is calling, for a view that does not belong to REST framework.

    Raises its AuthenticationFailed or NotAuthenticated.
    """
    secret = _our_secret(request)
    if secret is None:
        return _without_key(request)
    return _caller(await keyring_of(request).afind(secret), request)


def secret_of(request: Request | HttpRequest) -> str | None:
    """The key that a request brings; None if it is empty or missing.

    Raises AuthenticationFailed for two different keys.
    """
    scheme, _, bearer = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    brought = {request.META.get("HTTP_X_API_KEY", "").strip()}
    if scheme.lower() == SCHEME.lower():
        brought.add(bearer.strip())
    brought.discard("")
    if len(brought) > 1:
        raise AuthenticationFailed("Authorization and X-API-Key bring two different keys.")
    return brought.pop() if brought else None


def _our_secret(request: Request | HttpRequest) -> str | None:
    """The key that must be valid, or None if there is none.

    If no key is required, a key that is not one of ours is ignored: OpenAI's clients do not start without a key, so
    people write anything there.
    """
    secret = secret_of(request)
    if secret is not None and not settings.API_KEYS_REQUIRED and not secret.startswith(PREFIX):
        return None
    return secret


def keyring_of(request: Request | HttpRequest) -> Keyring:
    """The keyring of this process. The lifespan puts it into the state of the ASGI scope."""
    scope: Mapping[str, Any] = cast(Any, request).scope
    keyring: Keyring = scope["state"]["keyring"]
    return keyring


def _without_key(request: Request | HttpRequest) -> Caller:
    if settings.API_KEYS_REQUIRED:
        raise NotAuthenticated("An API key is required: send Authorization: Bearer KEY, or X-API-Key: KEY.")
    return anonymous(_address(request), Limits(requests=parse_rate(settings.RATE_LIMIT)))


def _caller(facts: KeyFacts, request: Request | HttpRequest) -> Caller:
    return Caller(
        name=facts.name, address=_address(request), scopes=facts.scopes, models=facts.models, limits=facts.limits
    )


def _address(request: Request | HttpRequest) -> str | None:
    """The client's own address: a trusted proxy's has been replaced already, and other proxies are not believed."""
    address: str = request.META.get("REMOTE_ADDR", "")
    return address or None
