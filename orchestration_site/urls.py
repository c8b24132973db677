"""Every address of the service."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerSplitView

from orchestration_site.http.errors import nothing_here
from orchestration_site.pages.health import HealthView, ReadyView
from orchestration_site.pages.metrics import MetricsView
from orchestration_site.pages.schema_view import SchemaView

# The methods of a page of HTML. OPTIONS is not among them: REST framework would need a template to answer it, and finds
# none.
PAGE_METHODS = ["get", "head"]

urlpatterns = [
    path("", include("chat.doors.native.urls")),
    path("", include("chat.doors.openai.urls")),
    path("", include("chat.history.urls")),
    path("", include("stats.urls")),
    path("health", HealthView.as_view(), name="health"),
    path("health/ready", ReadyView.as_view(), name="ready"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("schema", SchemaView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema", http_method_names=PAGE_METHODS), name="docs"),
    path("redoc", SpectacularRedocView.as_view(url_name="schema", http_method_names=PAGE_METHODS), name="redoc"),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="docs")),
    # This must be the last one. Without it, Django would answer an unknown address with a page of HTML if DEBUG is on.
    re_path(r"^(?!admin(?:/|$)|static/)", nothing_here),
]

handler400 = "orchestration_site.http.errors.bad_request"
handler403 = "orchestration_site.http.errors.permission_denied"
handler404 = "orchestration_site.http.errors.not_found"
handler500 = "orchestration_site.http.errors.server_error"
