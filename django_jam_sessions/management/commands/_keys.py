"""What both commands share: which keys are meant, and the refusal to work as another user."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...conf import conf
from ...configured import sessions
from ...exceptions import JamSessionsError
from ...infos import SessionInfo, check_key
from ...receivers import key_of


class KeysCommand(BaseCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("keys", nargs="*", metavar="KEY", help="A session key.")
        parser.add_argument(
            "--user",
            action="append",
            default=[],
            metavar="NAME",
            help="The key of the user of this name (%s); may be repeated."
            % get_user_model().USERNAME_FIELD,
        )

    def named_keys(self, keys: list[str], users: list[str]) -> list[str]:
        """The keys given and the users' keys, each once."""
        if users and conf.session_key is not None:
            raise CommandError("--user: JAM_SESSIONS['SESSION_KEY'] makes keys of its own.")
        named = [*keys, *(self._key_of_user(name) for name in users)]
        return list(dict.fromkeys(check_key(key) for key in named))

    def _key_of_user(self, name: str) -> str:
        model = get_user_model()
        try:
            return key_of(model._default_manager.get_by_natural_key(name))
        except model.DoesNotExist:
            raise CommandError("There is no user named %r." % name) from None

    def all_keys(self) -> Iterator[str]:
        """Every session key there is, each once."""
        met: set[str] = set()
        cursor = None
        while True:
            page = sessions.sync.keys(limit=1000, cursor=cursor)
            for info in page:
                if info.session_key not in met:
                    met.add(info.session_key)
                    yield info.session_key
            cursor = page.cursor
            if cursor is None:
                return

    def sessions(self, key: str) -> Iterator[SessionInfo]:
        cursor = None
        while True:
            page = sessions.sync.list(key, cursor=cursor)
            yield from page
            cursor = page.cursor
            if cursor is None:
                return

    def handles(self, key: str) -> set[str]:
        return {info.handle for info in self.sessions(key)}

    def execute(self, *args: object, **options: object) -> str | None:
        try:
            return super().execute(*args, **options)
        except (JamSessionsError, ValueError) as error:
            raise CommandError(str(error)) from error
