"""What both levels share: a change list over rows that the sessions' store found.

Nothing is counted or sorted. A page is bounded by the work it takes; a link leads to the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, cast

from django.contrib.admin import ModelAdmin, ShowFacets
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.contrib.auth import logout
from django.db import models, router, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import capfirst

from ..engine import SessionStore
from ..exceptions import SessionNotFoundError
from ..models import Session

Row = TypeVar("Row", bound=models.Model)

PER_PAGE = 100


class Rows(QuerySet[Row]):
    """A QuerySet that has its result: it asks no database.

    ``cursor`` is where the next page begins, None at the end. ``anonymous`` is the number of
    sessions that were met and are nobody's; None where nothing was scanned.
    """

    cursor: str | None = None
    anonymous: int | None = None

    @classmethod
    def of(cls, model: type[Row], rows: Iterable[Row], cursor: str | None = None) -> Rows[Row]:
        found = cls(model)
        found._result_cache = list(rows)
        found.cursor = cursor
        return found

    def _clone(self) -> Rows[Row]:
        clone = self.of(self.model, self, self.cursor)
        clone.anonymous = self.anonymous
        return clone

    def filter(self, *args: Any, **kwargs: Any) -> Rows[Row]:
        """By primary keys alone, as the admin's actions do."""
        wanted = set(kwargs.pop("pk__in"))
        if args or kwargs:
            raise NotImplementedError("Rows are filtered by pk__in alone.")
        return self.of(self.model, [row for row in self if row.pk in wanted])


class StoreChangeList(ChangeList):
    """Django's, without the questions that only a database answers."""

    parameters: frozenset[str] = frozenset()  # what else than filters may stand in the URL

    @property
    def rows(self) -> Rows[Any]:
        return cast(Rows[Any], self.root_queryset)

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Rows[Any]:
        self.filter_specs, self.has_filters, remaining, _, active = self.get_filters(request)
        self.has_active_filters = active
        names = {str(name) for spec in self.filter_specs for name in spec.expected_parameters()}
        self.clear_all_filters_qs = self.get_query_string(remove=list(names))
        if set(remaining) - self.parameters:
            raise IncorrectLookupParameters
        return self.rows

    def get_results(self, request: HttpRequest) -> None:
        rows = self.rows
        self.result_list, self.result_count = rows, len(rows)
        # Told apart from it where a search may be left.
        self.full_result_count = None if self.query else self.result_count
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = bool(rows)
        self.paginator = self.model_admin.get_paginator(request, cast(Any, list(rows)), PER_PAGE)
        self.is_later_page = PAGE_VAR in request.GET
        self.first_url = self.get_query_string()
        self.next_url = self.get_query_string({PAGE_VAR: rows.cursor}) if rows.cursor else ""


class StoreAdmin(ModelAdmin):  # type: ignore[type-arg]  # Django's takes none at run time
    """Whoever may view sessions sees them, whoever may delete them ends them; nobody edits."""

    list_per_page = PER_PAGE
    sortable_by = ()
    show_facets = ShowFacets.NEVER

    class Media:
        css = {"all": ["django_jam_sessions/admin.css"]}  # noqa: RUF012  # as Django writes it

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return StoreChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, "view_session")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, "delete_session")

    def get_queryset(self, request: HttpRequest) -> Rows[Any]:
        """A page; or, where an action is asked for, the rows that were selected."""
        if request.method == "POST":
            names = request.POST.getlist(ACTION_CHECKBOX_NAME)
            found = (self.get_object(request, name) for name in dict.fromkeys(names))
            return Rows.of(self.model, (row for row in found if row is not None))
        try:
            return self.page(request, request.GET.get(PAGE_VAR) or None)
        except ValueError as error:  # a cursor, or a key, that can't be one
            raise IncorrectLookupParameters from error

    def page(self, request: HttpRequest, cursor: str | None) -> Rows[Any]:
        raise NotImplementedError

    def end(self, row: Any) -> None:
        """Raises SessionNotFoundError."""
        raise NotImplementedError

    def described(self, row: Any) -> tuple[str, str]:
        """Where a row's page is, and what ends with it."""
        raise NotImplementedError

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        shown: list[Any] = []
        for row in objs:
            url, what = self.described(row)
            name = capfirst(self.opts.verbose_name)
            shown += [format_html('{}: <a href="{}">{}</a>', name, url, row), [what]]
        lacking = set() if self.has_delete_permission(request) else {self.opts.verbose_name}
        return shown, {self.opts.verbose_name_plural: len(objs)}, lacking, []

    def log_deletions(self, request: HttpRequest, queryset: Any) -> list[LogEntry]:
        """Not here: what was really ended is logged, one by one."""
        return []

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.delete_queryset(request, Rows.of(self.model, [obj]))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self._end_and_log(request, row)
        here = request.session
        if isinstance(here, SessionStore) and not here.exists(here.session_key):
            logout(request)  # it was one's own

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> HttpResponse:
        """Back to the list, as for those who may change what Django lists."""
        response = super().response_delete(request, obj_display, obj_id)
        if not self.has_view_permission(request):
            return response
        name = "admin:%s_%s_changelist" % (self.opts.app_label, self.opts.model_name)
        url = reverse(name, current_app=self.admin_site.name)
        filters: Any = {"preserved_filters": self.get_preserved_filters(request), "opts": self.opts}
        return HttpResponseRedirect(add_preserved_filters(filters, url))

    def _end_and_log(self, request: HttpRequest, row: Any) -> None:
        try:
            with transaction.atomic(using=router.db_for_write(LogEntry)):
                super().log_deletions(request, Rows.of(self.model, [row]))
                self.end(row)  # where that fails, nothing is logged
        except SessionNotFoundError:
            pass  # somebody else was quicker


def may(request: HttpRequest, what: str) -> bool:
    """Whether the request's user has this permission on sessions: keys have none of their own."""
    return request.user.has_perm("%s.%s" % (Session._meta.app_label, what))
