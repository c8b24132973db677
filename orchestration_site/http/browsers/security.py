"""Middleware for security: HTTPS, headers that tell a browser what it may do, other origins, and host names.

Each answer of a view, each error page and each 413 passes `Security` and `Cors`. Static files do not. Neither do the
400, 408 and 431 of `protocol.slow_clients`, which answers before there is a request.

`Security` and `Cors` run on the event loop, and use no database and no session. Django's own classes would go to a
thread and back twice for each request.
"""

from __future__ import annotations

import logging
import re

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware

from chat.doors.refusal_log import log_refusal
from orchestration_site.http.errors import error_response

logger = logging.getLogger("orchestration_site")

# Pages that people open in a browser. There, plain HTTP is redirected to HTTPS. Every other address is the API's.
PAGES = re.compile(r"/(?:docs|redoc|schema|admin(?:/.*)?)?")

# Addresses that may be called by any host name.
PROBES = ("/health", "/health/ready", "/metrics")

# Content security policies. An answer of the API may load nothing, run nothing and be framed nowhere.
API_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PAGE = (
    "default-src 'none'; script-src 'self'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; "
)
SWAGGER_POLICY = _PAGE + "style-src 'self'; form-action 'none'"
# ReDoc writes <style> elements, and runs its search in a worker.
REDOC_POLICY = _PAGE + "style-src 'self' 'unsafe-inline'; worker-src blob:; form-action 'none'"
ADMIN_POLICY = _PAGE + "style-src 'self'; form-action 'self'"
POLICIES = (
    (re.compile(r"/docs"), SWAGGER_POLICY),
    (re.compile(r"/redoc"), REDOC_POLICY),
    (re.compile(r"/admin(?:/.*)?"), ADMIN_POLICY),
)


class Security(SecurityMiddleware):
    """Refuses plain HTTP where HTTPS is on, and sets HSTS, the content security policy and other security headers.

    A page is redirected to HTTPS. A call of the API is refused with 403 and a JSON error instead: a client that follows
    redirects would send its key unencrypted each time and never notice, and a redirected POST loses its body.
    """

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.process_request(request) or await self.get_response(request)  # type: ignore[misc]
        return self.process_response(request, response)

    def process_request(self, request: HttpRequest) -> HttpResponseBase | None:  # type: ignore[override]
        if not self.redirect or request.is_secure() or self._is_exempt(request):
            return None
        # Whether the client has used HTTPS, and TRUSTED_PROXIES does not name its proxy. A redirect would then come
        # back by the same proxy again and again.
        by_unknown_proxy = request.headers.get("X-Forwarded-Proto", "").strip().lower() == "https"
        if request.method in ("GET", "HEAD") and PAGES.fullmatch(request.path_info) and not by_unknown_proxy:
            return super().process_request(request)
        message = (
            "The service takes HTTPS only, and TRUSTED_PROXIES does not name the proxy that this request came by."
            if by_unknown_proxy
            else "The service takes HTTPS only: call https://. A key that was sent without it may have been read on "
            "the way: replace it."
        )
        log_refusal(logger, request, status=403, code="https_required", detail=message)
        return error_response(request, 403, "https_required", message)

    def _is_exempt(self, request: HttpRequest) -> bool:
        path = request.path_info.lstrip("/")
        return any(pattern.search(path) for pattern in self.redirect_exempt)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:  # type: ignore[override]
        response = super().process_response(request, response)  # type: ignore[arg-type]
        response.headers.setdefault("X-Frame-Options", settings.X_FRAME_OPTIONS)
        # In development, Django answers these with a page that shows the traceback and has styles of its own.
        if not (settings.DEBUG and response.status_code in (404, 500)):
            response.headers.setdefault("Content-Security-Policy", policy_of(request.path_info))
        return response


class Cors(CorsMiddleware):
    """The middleware of django-cors-headers, which does nothing here if the settings name no other origin."""

    def add_response_headers(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not (settings.CORS_ALLOWED_ORIGINS or settings.CORS_ALLOW_ALL_ORIGINS):
            return response
        return super().add_response_headers(request, response)


class HostCheck(CommonMiddleware):
    """Django's middleware that refuses a Host header which ALLOWED_HOSTS does not name. Probes are let through.

    Prometheus and the health check of a container call a process by its address. What they read names no host.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path_info in PROBES else super().process_request(request)


def policy_of(path: str) -> str:
    """The content security policy for an answer at this path."""
    return next((policy for pages, policy in POLICIES if pages.fullmatch(path)), API_POLICY)
