from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...configured import configured, sessions
from ...steps import run
from ...text import printable
from ._keys import KeysCommand

PROGRESS_SECONDS = 2.0


class Command(KeysCommand):
    help = "End every session of the given keys: their users are signed out at once."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--all", action="store_true", help="Every key there is; anonymous sessions have none."
        )
        parser.add_argument(
            "--except",
            dest="kept",
            metavar="HANDLE",
            help="Leave this session; listsessions_by_key shows handles.",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would be ended, and end nothing."
        )
        parser.add_argument(
            "--noinput",
            "--no-input",
            action="store_false",
            dest="interactive",
            help="Don't ask before the sessions of more than one key are ended.",
        )
        parser.add_argument(
            "--ignore-missing",
            action="store_true",
            help="Don't fail where a key has no sessions.",
        )

    def handle(self, *, keys: list[str], user: list[str], **options: Any) -> None:
        if bool(keys or user) == options["all"]:
            raise CommandError("Give session keys or --user, or --all alone.")
        named = list(self.all_keys()) if options["all"] else self.named_keys(keys, user)
        self._check_kept(named, options["kept"])
        if len(named) > 1 and options["interactive"] and not options["dry_run"]:
            self._ask(len(named))
        missing = self._clear(named, options["kept"], options["dry_run"])
        if missing and not (options["ignore_missing"] or options["all"]):
            raise CommandError("No sessions: %s." % ", ".join(printable(key) for key in missing))

    def _check_kept(self, keys: list[str], kept: str | None) -> None:
        """Better nothing ended than the wrong session kept."""
        if kept is None:
            return
        for key in keys:
            if kept in self.handles(key):
                return
        raise CommandError("--except: none of these keys has a session %s." % printable(kept))

    def _ask(self, number: int) -> None:
        try:
            answer = input("End the sessions of %d keys? [y/N] " % number)
        except EOFError:
            raise CommandError("Nobody is there to be asked: give --noinput.") from None
        if answer.strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was ended.")

    def _clear(self, keys: list[str], kept: str | None, dry_run: bool) -> list[str]:
        """End them, and return the keys that had none to end."""
        missing = []
        reported = time.monotonic()
        for done, key in enumerate(keys):
            if time.monotonic() - reported > PROGRESS_SECONDS:
                reported = time.monotonic()
                self.stderr.write("%d of %d keys" % (done, len(keys)))
            count = sessions.sync.count(key)
            if not count:
                missing.append(key)
                continue
            if kept is not None and kept in self.handles(key):
                count -= 1
            if not dry_run:
                module = configured.current()
                run(module.backend, module.operations.clear(key, keep=kept))
            self._report(key, count, dry_run)
        return missing

    def _report(self, key: str, count: int, dry_run: bool) -> None:
        verb = "would be ended" if dry_run else "ended"
        noun = "session" if count == 1 else "sessions"
        self.stdout.write("%s: %d %s %s" % (printable(key), count, noun, verb))
