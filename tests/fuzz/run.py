"""One target under atheris, in a process of its own: ``python -m tests.fuzz.run target …``, with
libFuzzer's options."""

from __future__ import annotations

import importlib
import logging
import os
import sys

import atheris
import django
from django.test import override_settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")


def main(target: str, options: list[str]) -> None:
    atheris.enabled_hooks.add("str")  # what a text is compared with, it tries
    with atheris.instrument_imports(include=["django_jam_sessions"]):
        django.setup()
        module = importlib.import_module("tests.fuzz." + target)
    logging.disable(logging.CRITICAL)
    override_settings(**getattr(module, "SETTINGS", {})).enable()
    # -merge starts itself again, by a shell, under the name that it has.
    name = "%s -m tests.fuzz.run %s" % (sys.executable, target)
    atheris.Setup([name, *options], module.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
