"""Authentication of the API: `Authorization: Bearer KEY`, `api-key: KEY` or `X-API-Key: KEY`.

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
# Headers that bring a key and nothing else, under their names in `request.META`: Azure's clients send `api-key`, and
# those of Anthropic and others `X-API-Key`.
KEY_HEADERS = ("HTTP_API_KEY", "HTTP_X_API_KEY")
HOW = "send Authorization: Bearer KEY, or api-key: KEY, or X-API-Key: KEY"


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


def _our_secret(request: Request | HttpRequest) -> str | None:
    """The key that must be valid, or None if there is none. Raises AuthenticationFailed for two keys that differ.

    Clients of OpenAI and Azure do not start without a key for their own header, so people write anything there. So what
    does not look like a key of ours is ignored beside one of ours, and also where no key is required.
    """
    brought = _secrets(request)
    ours = {secret for secret in brought if secret.startswith(PREFIX)}
    candidates = ours if ours or not settings.API_KEYS_REQUIRED else brought
    if len(candidates) > 1:
        raise AuthenticationFailed(f"The request brings several different keys: {HOW}.")
    return candidates.pop() if candidates else None


def _secrets(request: Request | HttpRequest) -> set[str]:
    """Every key that a request brings."""
    scheme, *bearer = request.META.get("HTTP_AUTHORIZATION", "").split(None, 1) or [""]
    brought = {request.META.get(name, "").strip() for name in KEY_HEADERS}
    if scheme.lower() == SCHEME.lower():
        brought.update(key.strip() for key in bearer)
    return brought - {""}


def keyring_of(request: Request | HttpRequest) -> Keyring:
    """The keyring of this process. The lifespan puts it into the state of the ASGI scope."""
    scope: Mapping[str, Any] = cast(Any, request).scope
    keyring: Keyring = scope["state"]["keyring"]
    return keyring


def _without_key(request: Request | HttpRequest) -> Caller:
    if settings.API_KEYS_REQUIRED:
        raise NotAuthenticated(f"An API key is required: {HOW}.")
    return anonymous(_address(request), Limits(requests=parse_rate(settings.RATE_LIMIT)))


def _caller(facts: KeyFacts, request: Request | HttpRequest) -> Caller:
    return Caller(
        name=facts.name, address=_address(request), scopes=facts.scopes, models=facts.models, limits=facts.limits
    )


def _address(request: Request | HttpRequest) -> str | None:
    """The client's own address: a trusted proxy's has been replaced already, and other proxies are not believed."""
    address: str = request.META.get("REMOTE_ADDR", "")
    return address or None
