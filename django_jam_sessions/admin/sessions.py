"""The lower level: the sessions of one key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.actions import delete_selected as confirm_and_delete
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..codec import MODULE
from ..configured import configured, sessions
from ..infos import Stored
from ..models import Session
from ..steps import run
from ..text import printable, readable_time
from .base import PER_PAGE, Rows, StoreAdmin, StoreChangeList, may
from .keys import end_url, history_url, sessions_url
from .owners import user_url, users_of

MASK = "********"


class SessionChangeList(StoreChangeList):
    parameters = frozenset({"session_key"})


@admin.action(permissions=["delete"], description=gettext_lazy("End selected sessions"))
def delete_selected(model_admin: Any, request: HttpRequest, queryset: Any) -> Any:
    return confirm_and_delete(model_admin, request, queryset)


@admin.register(Session)
class SessionAdmin(StoreAdmin):
    actions = (delete_selected,)
    list_display = ("name", "ip", "current", "created", "last_seen", "expires")
    fieldsets = (
        (None, {"fields": ("handle", "owner", "current")}),
        (gettext_lazy("Client"), {"fields": ("device", "user_agent", "ip")}),
        (gettext_lazy("Times"), {"fields": ("created", "last_seen", "expires")}),
    )

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        return {}  # the index shows the keys

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = self.list_display
        return (*columns, "end_link") if may(request, "delete_session") else columns

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[StoreChangeList]:
        return SessionChangeList

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if not may(request, "view_session_data"):
            return self.fieldsets
        return (*self.fieldsets, (_("Data"), {"fields": ("data",)}))

    @admin.display(description=gettext_lazy("device"))
    def name(self, session: Session) -> str:
        return session.name

    @admin.display(description=gettext_lazy("current"), empty_value="")
    def current(self, session: Session) -> str | None:
        if not session.is_current:
            return None
        return format_html(
            '<img src="{}" alt="{}">', static("admin/img/icon-yes.svg"), _("This session")
        )

    @admin.display(description=gettext_lazy("created"))
    def created(self, session: Session) -> str:
        return readable_time(session.created_at)

    @admin.display(description=gettext_lazy("last seen"))
    def last_seen(self, session: Session) -> str:
        return readable_time(session.last_seen_at)

    @admin.display(description=gettext_lazy("expires"))
    def expires(self, session: Session) -> str | None:
        return None if session.expires_at is None else readable_time(session.expires_at)

    @admin.display(description=Session._meta.get_field("session_key").verbose_name)
    def owner(self, session: Session) -> str:
        url = sessions_url(session.session_key, self.admin_site.name)
        return format_html('<a href="{}">{}</a>', url, printable(session.session_key))

    @admin.display(description=gettext_lazy("End"))
    def end_link(self, session: Session) -> str:
        name = "admin:jam_sessions_session_delete"
        url = reverse(name, args=[quote(session.pk)], current_app=self.admin_site.name)
        way = back_to(session.session_key)
        return format_html('<a href="{}?{}" class="deletelink">{}</a>', url, way, _("End"))

    @admin.display(description=gettext_lazy("data"))
    def data(self, session: Session) -> str:
        return format_html("<pre>{}</pre>", readable(session.stored))  # type: ignore[attr-defined]

    def page(self, request: HttpRequest, cursor: str | None) -> Rows[Session]:
        key = request.GET.get("session_key", "")
        current = request.session.session_key
        found = sessions.sync.list(key, current=current, limit=PER_PAGE, cursor=cursor)
        ordered = sorted(found, key=lambda info: info.last_seen_at, reverse=True)
        return Rows.of(Session, map(Session.of, ordered), found.cursor)

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        module = configured.current()
        steps = module.operations.find(object_id, request.session.session_key)
        found = run(module.backend, steps)
        if found is None:
            return None
        session = Session.of(found[0])
        request.jam_session_key = session.session_key  # type: ignore[attr-defined]
        session.stored = found[1]  # type: ignore[attr-defined]
        return session

    def get_preserved_filters(self, request: HttpRequest) -> str:
        """The way back: to the key's list, also for who did not come from it."""
        key = getattr(request, "jam_session_key", None)
        preserved = super().get_preserved_filters(request)
        return preserved if preserved or key is None else back_to(key)

    def described(self, row: Session) -> tuple[str, str]:
        name = "admin:jam_sessions_session_change"
        url = reverse(name, args=[quote(row.pk)], current_app=self.admin_site.name)
        seen = "%s: %s" % (_("last seen"), readable_time(row.last_seen_at))
        return url, ", ".join(each for each in (row.name, row.ip, seen) if each)

    def end(self, row: Session) -> None:
        sessions.sync.end(row.session_key, row.handle)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = request.GET.get("session_key")
        if not key:  # there is no list of all sessions
            url = reverse("admin:jam_sessions_key_changelist", current_app=self.admin_site.name)
            return HttpResponseRedirect(url)
        context = {**self._context(request, key), **(extra_context or {})}
        return super().changelist_view(request, context)

    def _context(self, request: HttpRequest, key: str) -> dict[str, Any]:
        """Whose sessions the page shows, and where its tools lead."""
        site = self.admin_site.name
        user = users_of([key]).get(key)
        return {
            "title": _("Sessions of %s") % (user.get_username() if user else printable(key)),
            "key_name": printable(key),
            "owner": user,
            "owner_url": user_url(self.admin_site, request, user) if user else "",
            "end_url": end_url(key, site) if may(request, "delete_session") else "",
            "history_url": history_url(key, site),
        }


def back_to(session_key: str) -> str:
    """What a URL carries for its page to lead back to the key's list."""
    return urlencode({"_changelist_filters": urlencode({"session_key": session_key})})


def readable(stored: Stored | None) -> str:
    """The session's data as text; what begins with an underscore is Django's, and secret."""
    data = None if stored is None else configured.current().operations.read(stored, _loads(stored))
    if data is None:
        return _("It can't be read.")
    return json.dumps(masked(data), indent=2, ensure_ascii=False, default=str)


def _loads(stored: Stored) -> Callable[[bytes], Any]:
    is_module = stored.record.issuer == MODULE
    return json.loads if is_module else import_string(settings.SESSION_SERIALIZER)().loads


def masked(value: Any) -> Any:
    if isinstance(value, dict):
        items = ((str(name), item) for name, item in value.items())
        return {name: MASK if name.startswith("_") else masked(item) for name, item in items}
    return [masked(item) for item in value] if isinstance(value, list | tuple) else value
