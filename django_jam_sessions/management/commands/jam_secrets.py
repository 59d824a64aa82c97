from __future__ import annotations

import base64
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...codec import PLAIN
from ...configured import configured
from ...exceptions import JamSessionsError
from ...steps import run


class Command(BaseCommand):
    help = "Say how many sessions are left under each secret, by its public id, or make a new one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--new", action="store_true", help="Print a new secret for SESSION_AES_SECRET."
        )

    def handle(self, *, new: bool, **options: Any) -> None:
        if new:
            self.stdout.write(base64.urlsafe_b64encode(os.urandom(32)).decode())
            return
        module = configured.current()
        known = module.operations.cipher.secret_ids
        try:
            counts = run(module.backend, module.operations.secrets())
        except JamSessionsError as error:
            raise CommandError(str(error)) from error
        for secret_id, count in counts.items():
            self.stdout.write("%s  %8d  %s" % (secret_id.hex(), count, _meaning(secret_id, known)))


def _meaning(secret_id: bytes, known: Any) -> str:
    if secret_id == known[0]:
        return "not encrypted" if secret_id == PLAIN else "seals new sessions"
    if secret_id in known:
        return "opens older sessions"
    if secret_id == PLAIN:
        return "not encrypted, and ended: IS_SESSION_CRYPT is on"
    return "ended: no secret of the settings opens them"
