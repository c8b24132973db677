"""The list of calls. It has Django's own filters and search, but it finds its pages by position, and counts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from chat.admin.columns import SAID_SHOWN, fields_read_by
from chat.admin.dates import Dates, read_dates
from chat.admin.paging import NEWEST, Page, read_page, read_scan, scan_until, search_end, write_position
from chat.admin.search import MIN_PREFIX, PREFIX, SEARCH_ROWS, ids_of_requests, texts_with
from chat.history.keyset import Direction, Position, Scan
from chat.models import CallRecord
from chat.record.content import beginnings_of


class CallList(ChangeList):
    """The calls that the query string selects. The page itself is read only when the template shows it."""

    queryset: QuerySet[CallRecord]
    scan: Scan
    # The part of the search that no index helps with. So it is applied to a bounded number of calls only.
    texts: Q | None = None

    def get_filters(self, request: HttpRequest) -> Any:
        try:
            return super().get_filters(request)
        except (ValueError, OverflowError) as error:  # for example because of a filter for the year 9999
            raise IncorrectLookupParameters(error) from error

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> QuerySet[CallRecord]:
        try:
            self.scan = read_scan(self.params)
        except ValueError as error:
            raise IncorrectLookupParameters(error) from error
        for direction in Direction:  # The links of other filters must lead to the first page.
            self.params.pop(direction, None)
            self.filter_params.pop(direction, None)
        # The search is done here and not by Django, because a search in texts must know where the page begins.
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
        """Newest first, whatever the address says, because positions are places in this order."""
        return ["-created_at", "-id"]

    def get_results(self, request: HttpRequest) -> None:
        """Set what Django's templates ask of a list. `page` is read when they ask for it."""
        self.show_full_result_count = False
        self.show_admin_actions = False
        self.can_show_all = False
        self.multi_page = False
        self.paginator = None

    @cached_property
    def page(self) -> Page:
        page = read_page(
            self.queryset.only(*fields_read_by(self.list_display)),
            self.scan,
            self.list_per_page,
            texts=self.texts,
            search_rows=SEARCH_ROWS,
        )
        if "said" in self.list_display:  # which is only there for those who may see what was said
            beginnings = beginnings_of(page.calls, 2 * SAID_SHOWN)
            for call in page.calls:
                call.beginning = beginnings.get(call.pk, "")  # type: ignore[attr-defined]
        return page

    @property
    def result_list(self) -> list[CallRecord]:
        return self.page.calls

    @property
    def result_count(self) -> int:  # type: ignore[override]
        return len(self.page.calls)

    full_result_count = result_count

    def summarized(self) -> QuerySet[CallRecord]:
        """The calls that the summary above the list adds up: all that pass the filters, whichever page is shown."""
        if self.texts is None:
            return self.queryset
        until = search_end(NEWEST.over(self.queryset), SEARCH_ROWS)
        searched = self.queryset if until is None else scan_until(NEWEST, self.queryset, until)
        return searched.filter(self.texts)

    @property
    def search_note(self) -> str:
        """What a search did, for people who wonder why it found nothing. Empty if nothing was searched for."""
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
        except (ValueError, OverflowError):  # for example because a month has no year
            return Dates(None, [])

    @property
    def newest_link(self) -> str | None:
        return self.get_query_string() if self.scan.start else None

    @property
    def newer_link(self) -> str | None:
        return self._link(Direction.NEWER, self.page.newer)

    @property
    def older_link(self) -> str | None:
        return self._link(Direction.OLDER, self.page.older)

    @property
    def without_search(self) -> str:
        return self.get_query_string(remove=[SEARCH_VAR])

    def _link(self, direction: Direction, start: Position | None) -> str | None:
        if start is None:
            return None
        parameters: Mapping[str, Any] = {direction: write_position(start)}
        return self.get_query_string(dict(parameters))
