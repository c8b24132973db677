"""The pages of the call history: the list, the summary above it, and one call with its content and its attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters, ShowFacets
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from chat.admin import formats
from chat.admin.attempts import AttemptsInline, rows_with_bars
from chat.admin.change_list import CallList
from chat.admin.columns import CallColumns
from chat.admin.filters import ApiKeyFilter, CostFilter, ModelFilter, ProviderFilter, TierFilter
from chat.admin.search import MIN_PREFIX, PREFIX, SEARCH_ROWS
from chat.admin.summary import read_summary
from chat.models import CallRecord

if TYPE_CHECKING:
    CallModelAdmin = admin.ModelAdmin[CallRecord]
else:
    CallModelAdmin = admin.ModelAdmin

OUTCOME = (
    None,
    {
        "fields": (
            ("request_id", "created"),
            ("status_badge", "http_status"),
            ("door", "streamed"),
            ("operation", "cached"),
            ("model_used", "provider_used"),
            ("model_requested", "route"),
            ("fallback_triggered", "is_default_message"),
            ("completion_id", "stored"),
            ("finish_reason", "error_code"),
            "error_message",
        )
    },
)
NUMBERS = (
    "Time, tokens and cost",
    {
        "fields": (
            ("latency", "first_token"),
            ("prompt_tokens", "cached_tokens"),
            ("completion_tokens", "reasoning_tokens"),
            ("cache_write_tokens", "service_tier"),
            ("audio_prompt_tokens", "audio_completion_tokens"),
            ("web_searches", "file_searches"),
            ("full_cost", "usage_estimated"),
            ("original_cost", "charged"),
        )
    },
)
CONTENT = ("Content", {"fields": ("conversation", "answer", "whole_answer", "parameters")})
CALLER = ("Caller", {"fields": (("api_key", "client_ip"), "user_agent", "caller_metadata")})
CONTENT_PERMISSION = "chat.view_callcontent"
# The pages have no sidebar, because their tables need the room. The breadcrumbs lead back.
WHOLE_WIDTH = {"is_nav_sidebar_enabled": False}


class CallAdmin(CallColumns, CallModelAdmin):
    """Read-only for everyone. Only users with the permission `chat.view_callcontent` see and search prompts."""

    list_display = (
        "request",
        "created",
        "door",
        "status_badge",
        "answered_by",
        "latency",
        "first_token",
        "tokens",
        "cost",
    )
    list_display_links = ("request",)
    list_filter = (
        *("status", "door", ModelFilter, ProviderFilter, CostFilter, ApiKeyFilter, TierFilter),
        *("streamed", "fallback_triggered", "is_default_message", "cached"),
    )
    date_hierarchy = "created_at"
    search_fields = ("request_id",)
    search_help_text = (
        f"A request id, or its first {MIN_PREFIX - len(PREFIX)} or more characters after “{PREFIX}”: found at once. "
        f"Anything else is searched for in messages, answers and errors, in {SEARCH_ROWS:,} calls at a time, newest "
        f"first. Choose a date or a filter to search there."
    )
    list_per_page = 100
    sortable_by = ()
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    actions = None
    inlines = (AttemptsInline,)

    class Media:
        css = {"all": ("chat/admin.css",)}  # noqa: RUF012 (Django's own shape)
        js = ("chat/summary.js",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CallList]:
        return CallList

    def get_urls(self) -> list[URLPattern]:
        summary = self.admin_site.admin_view(self.summary_view)
        # The address is an older word for the summary. It stays, because people may have kept links to it.
        return [path("figures/", summary, name="chat_callrecord_summary"), *super().get_urls()]

    def summary_view(self, request: HttpRequest) -> HttpResponse:
        """The summary of the calls that the query string selects, as a page. The list fetches and shows it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            calls = cast(CallList, self.get_changelist_instance(request))
        except IncorrectLookupParameters:
            return HttpResponseBadRequest("These filters cannot be understood.")
        summary = read_summary(calls.summarized())
        context = {
            **self.admin_site.each_context(request),
            "title": "Figures of the calls",
            "opts": self.opts,
            "cl": calls,
            "counted": formats.count(summary.calls),
            "cost": formats.cost(
                summary.cost_usd,
                estimated=bool(summary.cost_estimated),
                incomplete=bool(summary.cost_incomplete or summary.cost_unknown),
            ),
            "cost_estimated": formats.count(summary.cost_estimated) if summary.cost_estimated else "",
            "cost_incomplete": formats.count(summary.cost_incomplete) if summary.cost_incomplete else "",
            "cost_unknown": formats.count(summary.cost_unknown) if summary.cost_unknown else "",
            "unanswered": formats.count(summary.unanswered),
            "undecided": formats.count(summary.undecided),
            "error_percent": None if summary.error_rate is None else f"{100 * summary.error_rate:.2f}",
            "media": self.media,
        }
        return TemplateResponse(request, "admin/chat/callrecord/summary.html", context)

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        return (*self.list_display, *(("said",) if request.user.has_perm(CONTENT_PERMISSION) else ()))

    def get_fieldsets(self, request: HttpRequest, obj: CallRecord | None = None) -> Any:
        content = (CONTENT,) if request.user.has_perm(CONTENT_PERMISSION) else ()
        return (OUTCOME, NUMBERS, *content, CALLER)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), **WHOLE_WIDTH})

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        for inline in context["inline_admin_formsets"]:  # empty if the user may not view attempts
            attempts = list(inline.formset.get_queryset())
            context["attempts"] = rows_with_bars(attempts, context["original"].latency_ms)
        return super().render_change_form(request, {**context, **WHOLE_WIDTH}, *args, **kwargs)
