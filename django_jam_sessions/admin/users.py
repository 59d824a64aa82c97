"""The way from a user's page to the user's sessions."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse

from ..configured import sessions
from ..receivers import key_of, keys_are_users
from .base import may
from .keys import sessions_url


class SessionsLinkMixin(ModelAdmin):  # type: ignore[type-arg]  # Django's takes none at run time
    """Before the class of a user's ModelAdmin: a link "Sessions (3)" on each user's page."""

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        response: Any = super().render_change_form(request, context, add, change, form_url, obj)
        if obj is not None and keys_are_users() and may(request, "view_session"):
            key = key_of(obj)
            # Whatever template the page has, this one only adds to it.
            parent = response.resolve_template(response.template_name)
            response.template_name = "admin/jam_sessions/user_change_form.html"
            response.context_data["sessions_parent"] = parent
            response.context_data["sessions_count"] = sessions.sync.count(key)
            response.context_data["sessions_url"] = sessions_url(key, self.admin_site.name)
        return response  # type: ignore[no-any-return]
