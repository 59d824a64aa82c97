"""The users' pages of the admin, with a link to their sessions."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User

from django_jam_sessions.admin import SessionsLinkMixin

admin.site.unregister(User)


@admin.register(User)
class UserWithSessionsAdmin(SessionsLinkMixin, UserAdmin):  # type: ignore[type-arg]
    pass
