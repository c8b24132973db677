"""What every answer passes on its way: HTTPS or nothing, and the headers that tell a browser what it may do with it.

Natively async: Django's own two classes would hop to a thread twice for each request. No database, no session.
"""

from __future__ import annotations

import logging
import re

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware

from chat.request_ids import request_id_of
from orchestration_site.http.errors import refusal

logger = logging.getLogger("orchestration_site")

PAGES = re.compile(r"/(?:docs|redoc|schema|admin(?:/.*)?)?")
"""What people open in a browser: plain HTTP is redirected there. Everything else is the API."""

API_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PAGE = (
    "default-src 'none'; script-src 'self'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; "
)
SWAGGER_POLICY = _PAGE + "style-src 'self'; form-action 'none'"
# It writes <style> elements, and searches in a worker.
REDOC_POLICY = _PAGE + "style-src 'self' 'unsafe-inline'; worker-src blob:; form-action 'none'"
ADMIN_POLICY = _PAGE + "style-src 'self'; form-action 'self'"
POLICIES = (
    (re.compile(r"/docs"), SWAGGER_POLICY),
    (re.compile(r"/redoc"), REDOC_POLICY),
    (re.compile(r"/admin(?:/.*)?"), ADMIN_POLICY),
)


PROBES = ("/health", "/health/ready", "/metrics")


class Security(SecurityMiddleware):
    """Refuses plain HTTP where HTTPS is on, and sets HSTS, the content security policy and the other security headers.

    A page is redirected. Anything else is refused with 403 and a JSON error, and not redirected: a client that follows
    would send its key in the clear each time and never notice, and a redirected POST loses its body.
    """

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.process_request(request) or await self.get_response(request)  # type: ignore[misc]
        return self.process_response(request, response)

    def process_request(self, request: HttpRequest) -> HttpResponseBase | None:  # type: ignore[override]
        if not self.redirect or request.is_secure() or self._is_exempt(request):
            return None
        # A redirect would come back by the same proxy, again and again.
        by_unknown_proxy = request.headers.get("X-Forwarded-Proto", "").strip().lower() == "https"
        if request.method in ("GET", "HEAD") and PAGES.fullmatch(request.path_info) and not by_unknown_proxy:
            return super().process_request(request)
        message = (
            "The service takes HTTPS only, and TRUSTED_PROXIES does not name the proxy that this request came by."
            if by_unknown_proxy
            else "The service takes HTTPS only: call https://. A key that was sent without it may have been read on "
            "the way: replace it."
        )
        extra = {
            "request_id": request_id_of(request),
            "code": "https_required",
            "http_status": 403,
            "detail": message,
            "path": request.path,
            "client_ip": request.META.get("REMOTE_ADDR"),
        }
        logger.info("request_refused", extra=extra)
        return refusal(request, 403, "https_required", message)

    def _is_exempt(self, request: HttpRequest) -> bool:
        path = request.path_info.lstrip("/")
        return any(pattern.search(path) for pattern in self.redirect_exempt)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:  # type: ignore[override]
        response = super().process_response(request, response)  # type: ignore[arg-type]
        response.headers.setdefault("X-Frame-Options", settings.X_FRAME_OPTIONS)
        if not (settings.DEBUG and response.status_code in (404, 500)):  # Django's pages with the traceback
            response.headers.setdefault("Content-Security-Policy", policy_of(request.path_info))
        return response


class Cors(CorsMiddleware):
    """django-cors-headers. Where the settings name no origin, answers are alike for all, and nothing is looked at."""

    def add_response_headers(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not (settings.CORS_ALLOWED_ORIGINS or settings.CORS_ALLOW_ALL_ORIGINS):
            return response
        return super().add_response_headers(request, response)


class HostCheck(CommonMiddleware):
    """Django's middleware that refuses a Host of no name of ours, but for probes.

    Prometheus and a container's health check call a process by its address, and what they read names no host.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path_info in PROBES else super().process_request(request)


def policy_of(path: str) -> str:
    return next((policy for pages, policy in POLICIES if pages.fullmatch(path)), API_POLICY)
