"""What Django's admin and its permissions need to know of sessions. No table is behind these.

Their managers find nothing: what goes through models, such as dumpdata, never meets a session.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from django.db import models
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from .infos import KeyInfo, SessionInfo
from .text import printable


class NothingManager(models.Manager[models.Model]):
    def get_queryset(self) -> models.QuerySet[models.Model]:
        return super().get_queryset().none()


class Key(models.Model):
    # A key may hold what neither a URL nor a form carries unharmed, so its path stands for it.
    path = models.TextField(primary_key=True, editable=False)
    session_key = models.CharField(pgettext_lazy("whose sessions", "session key"), max_length=255)
    count = models.PositiveIntegerField(_("sessions"))
    last_seen_at = models.DateTimeField(_("last seen"))
    is_exact = True  # the count: see KeyInfo

    objects = NothingManager()

    class Meta:
        managed = False
        default_manager_name = base_manager_name = "objects"
        default_permissions = ()  # those of its sessions are asked for
        verbose_name = pgettext_lazy("whose sessions", "session key")
        verbose_name_plural = pgettext_lazy("whose sessions", "session keys")

    def __str__(self) -> str:
        return printable(self.session_key)

    @classmethod
    def of(cls, info: KeyInfo) -> Key:
        key = cls(
            path=path_of(info.session_key),
            session_key=info.session_key,
            count=info.count,
            last_seen_at=info.last_seen_at,
        )
        key.is_exact = info.is_exact
        key._state.adding = False
        return key


class Session(models.Model):
    handle = models.CharField(_("handle"), primary_key=True, max_length=41, editable=False)
    session_key = models.CharField(pgettext_lazy("whose sessions", "session key"), max_length=255)
    device = models.CharField(_("device"), max_length=255, blank=True)
    user_agent = models.TextField(_("user agent"), blank=True)
    ip = models.CharField(_("IP address"), max_length=45, blank=True)
    created_at = models.DateTimeField(_("created"))
    last_seen_at = models.DateTimeField(_("last seen"))
    expires_at = models.DateTimeField(_("expires"), null=True)
    is_current = models.BooleanField(_("current"))

    objects = NothingManager()

    class Meta:
        managed = False
        default_manager_name = base_manager_name = "objects"
        permissions = (("view_session_data", _("Can view session data")),)
        verbose_name = _("session")
        verbose_name_plural = _("sessions")

    def __str__(self) -> str:
        return "%s (%s)" % (self.handle, self.key_name)

    @property
    def name(self) -> str:
        return self.device or gettext("Unknown device")

    @property
    def key_name(self) -> str:
        return printable(self.session_key)

    @classmethod
    def of(cls, info: SessionInfo) -> Session:
        client = info.client
        session = cls(
            handle=info.handle,
            session_key=info.session_key,
            device=client.device if client else "",
            user_agent=client.user_agent if client else "",
            ip=client.ip if client else "",
            created_at=info.created_at,
            last_seen_at=info.last_seen_at,
            expires_at=info.expires_at,
            is_current=info.is_current,
        )
        session._state.adding = False
        return session


def path_of(session_key: str) -> str:
    """The key in ASCII that needs no quoting; browsers take '.' and '..' out of a URL."""
    path = quote(session_key, safe="")
    return path.replace(".", "%2E") if path in (".", "..") else path


def key_at(path: str) -> str:
    """The session key of that path."""
    return unquote(path)
