"""The admin of API keys. A new secret is shown only on the page that answers the form.

It is not shown as one of Django's messages, because those are stored in a cookie or in the session's row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from access.callers import Scope
from access.keys.key_lifecycle import KeyNotActive, issue_secret, revoke_key, rotate_key
from access.models import ApiKey, shown_parts

if TYPE_CHECKING:
    KeyModelAdmin = admin.ModelAdmin[ApiKey]
    KeyModelForm = forms.ModelForm[ApiKey]
else:
    KeyModelAdmin = admin.ModelAdmin
    KeyModelForm = forms.ModelForm

SHOWN_ONCE = "admin/access/apikey/shown_once.html"


class ApiKeyForm(KeyModelForm):
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=[Scope.CHAT.value],
        help_text="Every key may see its own calls and statistics.",
    )


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in ("active", "expired", "revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        past = Q(expires_at__lte=timezone.now())
        match self.value():
            case "active":
                return queryset.exclude(past).filter(revoked_at=None)
            case "expired":
                return queryset.filter(past, revoked_at=None)
            case "revoked":
                return queryset.exclude(revoked_at=None)
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(KeyModelAdmin):
    """Keys are revoked and never deleted, because calls are kept under their names."""

    form = ApiKeyForm
    list_display = ("name", "key", "owner", "state", "last_used_at", "expires_at", "created_at")
    list_filter = (StateFilter, "owner")
    search_fields = ("name", "owner", "secrets__shown")
    actions = ("revoke", "rotate")
    fieldsets = (
        (None, {"fields": ("name", "owner", "scopes", "allowed_models", "expires_at")}),
        (
            "Limits",
            {"fields": ("rate_limit", "tokens_per_minute", "max_concurrent", ("usd_per_day", "usd_per_month"))},
        ),
    )
    # Fields that are shown and cannot be edited.
    facts = ("key", "state", "last_used_at", "created_at", "revoked_at")

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj is None else (*fieldsets, ("State", {"fields": self.facts}))

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return self.facts if obj is None else ("name", *self.facts)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).prefetch_related("secrets")

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    @admin.display(description="key")
    def key(self, key: ApiKey) -> str:
        return shown_parts(key.secrets.all()) or "no valid secret"

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        return key.state

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        return self._shown_once(request, [(obj.name, issue_secret(key=obj))])

    @admin.action(description="Revoke: end the selected keys for good", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            revoke_key(key=key)
            self.log_change(request, key, "Revoked.")
        self.message_user(request, "Revoked. A process that has just used a key may still accept it for 5 seconds.")

    @admin.action(
        description="Rotate: make new secrets for the selected keys; the old ones stay valid for 24 hours",
        permissions=["change"],
    )
    def rotate(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        rotated = []
        for key in queryset:
            try:
                rotated.append((key.name, rotate_key(key=key)))
            except KeyNotActive as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.log_change(request, key, "Rotated.")
        return self._shown_once(request, rotated) if rotated else None

    def _shown_once(self, request: HttpRequest, secrets: list[tuple[str, str]]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Copy now: it is shown once",
            "opts": self.opts,
            "secrets": secrets,
        }
        return TemplateResponse(request, SHOWN_ONCE, context, headers={"Cache-Control": "no-store"})
