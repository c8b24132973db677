"""The list of calls as the admin needs it: filtered and searched as ever, but by position, and never counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from chat.admin.dates import Dates, read_dates
from chat.admin.paging import NEWER, OLDER, Cursor, Page, Position, read_page, search_end
from chat.admin.search import MIN_PREFIX, PREFIX, SEARCH_ROWS, ids_of_requests, texts_with
from chat.models import CallRecord

READ = (
    *("request_id", "created_at", "door", "status", "model_used", "latency_ms", "time_to_first_token_ms"),
    *("prompt_tokens", "completion_tokens", "cost_usd", "usage_estimated"),
)
"""All that the list reads of a call."""


class CallList(ChangeList):
    """What the query string picks. The page itself is read only when it is shown."""

    queryset: QuerySet[CallRecord]
    cursor: Cursor
    texts: Q | None = None
    """The part of the search that no index helps with, to be put to a bounded number of calls."""

    def get_filters(self, request: HttpRequest) -> Any:
        try:
            return super().get_filters(request)
        except (ValueError, OverflowError) as error:  # the year 9999, for one
            raise IncorrectLookupParameters(error) from error

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> QuerySet[CallRecord]:
        try:
            self.cursor = Cursor.read(self.params)
        except ValueError as error:
            raise IncorrectLookupParameters(error) from error
        for name in (OLDER, NEWER):  # out of the links: another filter starts at the first page
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        # The search is done here, because a search in texts has to know the position.
        term, self.query = self.query.strip().replace("\x00", ""), ""
        calls: QuerySet[CallRecord] = super().get_queryset(request, exclude_parameters)
        self.query = term
        if term:
            ids = ids_of_requests(term)
            if ids is None:
                self.texts = texts_with(term, bodies=request.user.has_perm("chat.view_callcontent"))
            else:
                calls = calls.filter(pk__in=ids)
        return calls

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Newest first, whatever the address says: positions are places in this order."""
        return ["-created_at", "-id"]

    def get_results(self, request: HttpRequest) -> None:
        """What Django's templates ask of a list; the page is read when they do."""
        self.show_full_result_count = False
        self.show_admin_actions = False
        self.can_show_all = False
        self.multi_page = False
        self.paginator = None

    @cached_property
    def page(self) -> Page:
        return read_page(
            self.queryset.only(*READ),
            self.cursor,
            self.list_per_page,
            texts=self.texts,
            search_rows=SEARCH_ROWS,
        )

    @property
    def result_list(self) -> list[CallRecord]:
        return self.page.calls

    @property
    def result_count(self) -> int:  # type: ignore[override]
        return len(self.page.calls)

    full_result_count = result_count

    def counted(self) -> QuerySet[CallRecord]:
        """The calls that the figures above the list are about: all that are filtered, on whatever page."""
        if self.texts is None:
            return self.queryset
        until = search_end(Cursor().walk(self.queryset), SEARCH_ROWS)
        searched = self.queryset if until is None else Cursor().walk_until(self.queryset, until)
        return searched.filter(self.texts)

    @property
    def search_note(self) -> str:
        """What a search did, for those who wonder why it found nothing. Empty where there was none."""
        if not self.query:
            return ""
        if self.texts is not None:
            return f"Searched for the text in at most {SEARCH_ROWS:,} calls that the filters let through."
        if self.query.startswith(PREFIX) and len(self.query) < MIN_PREFIX:
            return f"Give at least {MIN_PREFIX - len(PREFIX)} characters after {PREFIX}."
        return "Searched by request id, within the filters."

    @cached_property
    def dates(self) -> Dates:
        def link(chosen: dict[str, object]) -> str:
            return self.get_query_string(chosen, ["created_at__"])

        try:
            return read_dates(self.params, link)
        except (ValueError, OverflowError):  # a month without its year
            return Dates(None, [])

    @property
    def newest_link(self) -> str | None:
        return self.get_query_string() if self.cursor.start else None

    @property
    def newer_link(self) -> str | None:
        return self._link(NEWER, self.page.newer)

    @property
    def older_link(self) -> str | None:
        return self._link(OLDER, self.page.older)

    @property
    def without_search(self) -> str:
        return self.get_query_string(remove=[SEARCH_VAR])

    def _link(self, direction: str, start: Position | None) -> str | None:
        parameters: Mapping[str, Any] = {direction: str(start)}
        return self.get_query_string(dict(parameters)) if start else None
