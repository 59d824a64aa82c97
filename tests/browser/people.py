"""Makes the site's people: ``python -m tests.browser.people``. Each one's password is the name."""

from __future__ import annotations

import os

import django
from django.core.management import call_command

NAMES = ["ada", "grace", "vera", "otto"]


def make() -> None:
    """ada uses the site; of the staff grace may all, vera may look at sessions, otto nothing."""
    from django.contrib.auth.models import Permission, User

    for name in NAMES:
        user = User.objects.create_user(name, password=name)
        user.is_staff = name != "ada"
        user.is_superuser = name == "grace"
        user.save()
    view = Permission.objects.get(content_type__app_label="jam_sessions", codename="view_session")
    User.objects.get(username="vera").user_permissions.add(view)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.browser.settings")
    django.setup()
    call_command("migrate", verbosity=0)
    make()
