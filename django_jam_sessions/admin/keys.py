"""The upper level: the keys that have sessions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.actions import delete_selected as confirm_and_delete
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import PAGE_VAR
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ..configured import configured, sessions
from ..infos import KeyInfo
from ..models import Key, Session, key_at, path_of
from ..steps import run
from ..text import readable_time
from .base import PER_PAGE, Rows, StoreAdmin, StoreChangeList
from .owners import key_of_user, user_url, users_of

SCAN = 2 * PER_PAGE  # entries of the store that a page looks at: some may be nobody's


class OwnerFilter(admin.SimpleListFilter):
    """Anonymous sessions have no key, so no row: they are counted where the page met them."""

    title = _("owner")
    parameter_name = "anonymous"

    def lookups(self, request: Any, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return [("1", _("Anonymous"))]

    def queryset(self, request: Any, queryset: Any) -> None:
        return None

    def choices(self, changelist: Any) -> Iterator[Any]:
        everyone, anonymous = super().choices(changelist)
        met = changelist.rows.anonymous
        yield {**everyone, "display": _("Session keys")}
        yield anonymous if met is None else {**anonymous, "display": _("Anonymous (%d here)") % met}


class KeyChangeList(StoreChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.preserved_filters = ""  # the rows lead to lists, which have filters of their own

    def url_for_result(self, result: Any) -> str:
        return sessions_url(result.session_key, self.model_admin.admin_site.name)


@admin.action(permissions=["delete"], description=_("End all sessions of selected keys"))
def delete_selected(model_admin: Any, request: HttpRequest, queryset: Any) -> Any:
    return confirm_and_delete(model_admin, request, queryset)


@admin.register(Key)
class KeyAdmin(StoreAdmin):
    list_display = ("__str__", "user", "total", "last_seen")
    list_filter = (OwnerFilter,)
    search_fields = ("session_key",)
    search_help_text = _("A session key or a username, in full.")
    actions = (delete_selected,)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[StoreChangeList]:
        return KeyChangeList

    @admin.display(description=_("user"))
    def user(self, key: Key) -> str | None:
        found = getattr(key, "found_user", None)
        if found is None:
            return None
        name, url = found
        return format_html('<a href="{}">{}</a>', url, name) if url else name

    @admin.display(description=_("sessions"))
    def total(self, key: Key) -> int | str:
        return key.count if key.is_exact else _("%d or more") % key.count

    @admin.display(description=_("last seen"))
    def last_seen(self, key: Key) -> str:
        return readable_time(key.last_seen_at)

    def page(self, request: HttpRequest, cursor: str | None) -> Rows[Key]:
        query = request.GET.get("q", "")
        if query:
            return self._rows(request, search(query))
        found, anonymous, following = scan(cursor)
        is_anonymous = OwnerFilter.parameter_name in request.GET
        rows = self._rows(request, [] if is_anonymous else found, following)
        rows.anonymous = anonymous
        return rows

    def _rows(
        self, request: HttpRequest, found: Sequence[KeyInfo], cursor: str | None = None
    ) -> Rows[Key]:
        rows = [Key.of(info) for info in sorted(found, key=_last_seen, reverse=True)]
        self._find_users(request, rows)
        return Rows.of(Key, rows, cursor)

    def _find_users(self, request: HttpRequest, rows: Iterable[Key]) -> None:
        users = users_of(row.session_key for row in rows)
        for row in rows:
            user = users.get(row.session_key)
            if user is not None:
                url = user_url(self.admin_site, request, user)
                row.found_user = user.get_username(), url  # type: ignore[attr-defined]

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        info = look(key_at(object_id))
        return None if info is None else Key.of(info)

    def end(self, row: Key) -> None:
        sessions.sync.clear(row.session_key)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """A key's page is the list of its sessions."""
        if request.method == "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        key = key_at(unquote(object_id))
        return HttpResponseRedirect(sessions_url(key, self.admin_site.name))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """What was done to the key, and to single sessions of it: these have no page any more."""
        entries = entries_of(key_at(unquote(object_id)))
        page = Paginator(entries, PER_PAGE).get_page(request.GET.get(PAGE_VAR, 1))
        for entry in page:
            entry.change_message = entry.change_message or str(entry)
        context = {
            "action_list": page,
            "page_range": page.paginator.get_elided_page_range(page.number),
            "pagination_required": page.has_other_pages(),
            **(extra_context or {}),
        }
        return super().history_view(request, object_id, context)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        self._find_users(request, objs)
        shown, counts, *rest = super().get_deleted_objects(objs, request)
        return shown, {**counts, _("sessions"): sum(row.count for row in objs)}, *rest

    def described(self, row: Key) -> tuple[str, str]:
        name, _url = getattr(row, "found_user", ("", ""))
        what = ", ".join(each for each in (name, _sessions(row.count)) if each)
        return sessions_url(row.session_key, self.admin_site.name), what


def entries_of(session_key: str) -> QuerySet[LogEntry]:
    """The admin's log of the key and of its sessions, whose handles begin with its locators."""
    types = ContentType.objects.get_for_models(Key, Session)
    wanted = Q(content_type=types[Key], object_id=path_of(session_key))
    for locator in configured.current().operations.cipher.locators(session_key):
        wanted |= Q(content_type=types[Session], object_id__startswith=locator + ".")
    return LogEntry.objects.filter(wanted).select_related("user").order_by("action_time")


def scan(cursor: str | None) -> tuple[Sequence[KeyInfo], int, str | None]:
    """Keys, the number of anonymous sessions among them, and where to go on."""
    module = configured.current()
    return run(module.backend, module.operations.survey(SCAN, cursor))


def search(query: str) -> list[KeyInfo]:
    """The key of that text and that of the user of that name, where they have sessions."""
    keys = dict.fromkeys(key for key in (query, key_of_user(query)) if key is not None)
    found = (look(key) for key in keys)
    return [info for info in found if info is not None]


def look(session_key: str) -> KeyInfo | None:
    """What keys() says of this one; None where it has no sessions, or can be no key."""
    try:
        page = sessions.sync.list(session_key, limit=PER_PAGE)
    except ValueError:
        return None
    if not page:
        return None
    count = len(page) if page.cursor is None else sessions.sync.count(session_key)
    return KeyInfo(session_key, count, max(info.last_seen_at for info in page))


def sessions_url(session_key: str, site: str) -> str:
    """The list of the key's sessions."""
    url = reverse("admin:jam_sessions_session_changelist", current_app=site)
    return "%s?%s" % (url, urlencode({"session_key": session_key}))


def end_url(session_key: str, site: str) -> str:
    """Where all sessions of the key are ended."""
    path = quote(path_of(session_key))
    return reverse("admin:jam_sessions_key_delete", args=[path], current_app=site)


def history_url(session_key: str, site: str) -> str:
    path = quote(path_of(session_key))
    return reverse("admin:jam_sessions_key_history", args=[path], current_app=site)


def _last_seen(info: KeyInfo) -> Any:
    return info.last_seen_at


def _sessions(number: int) -> str:
    return ngettext("%d session", "%d sessions", number) % number
