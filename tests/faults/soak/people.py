"""Makes the site's people, ``user-0`` and so on: ``python -m tests.faults.soak.people <number>``.

Each one's password is the name.
"""

from __future__ import annotations

import sys

import django
from django.core.management import call_command


def make(number: int) -> None:
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import User

    names = ["user-%d" % each for each in range(number)]
    User.objects.bulk_create(
        User(pk=each + 1, username=name, password=make_password(name))
        for each, name in enumerate(names)
    )


if __name__ == "__main__":
    django.setup()
    call_command("migrate", verbosity=0)
    make(int(sys.argv[1]))
