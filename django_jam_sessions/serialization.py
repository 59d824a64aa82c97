"""SessionModule's data as JSON, or a TypeError that says which key can't be.

And what may be Django's SESSION_SERIALIZER, for the engine's: anything but a pickle.
"""

from __future__ import annotations

import json
import pickletools  # which runs nothing
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string


def serialize(data: object) -> bytes:
    """``data`` as compact JSON.

    Raises TypeError for what would not come back: it names the key, never the value.
    """
    if not isinstance(data, dict):
        raise TypeError("Session data must be a dict, not %s." % type(data).__name__)
    try:
        _check_keys(data)
        return _dumps(data)
    except (TypeError, ValueError, RecursionError):
        raise TypeError(
            "Session data must be JSON serializable; what is at %s is not." % _culprit(data, "data")
        ) from None


def _dumps(value: object) -> bytes:
    # NaN and infinities are no JSON (RFC 8259, 6); lone surrogates pass as \\u escapes.
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _check_keys(value: object) -> None:
    """Raise TypeError for a dict with a key that JSON would turn into another."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError
            _check_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_keys(item)


def _culprit(value: Any, path: str, depth: int = 0) -> str:
    """The path of the innermost thing in ``value``, which JSON can't hold, that is to blame."""
    if depth == 20:
        return path + "…"
    items: Any = ()
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                return "%s (the key %r is no str)" % (path, key)
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for key, item in items:
        try:
            _check_keys(item)
            _dumps(item)
        except (TypeError, ValueError, RecursionError):
            return _culprit(item, "%s[%r]" % (path, key), depth + 1)
    return path


def refuse_pickle(dotted_path: str) -> None:
    """Raise ImproperlyConfigured for a serializer that pickles, or that can't be imported.

    To read a pickle is to run what it says: whoever can write to the store could.
    """
    try:
        serializer = import_string(dotted_path)
    except ImportError as error:
        raise ImproperlyConfigured("SESSION_SERIALIZER can't be imported.") from error
    if _is_pickle(serializer().dumps({})):
        raise ImproperlyConfigured(
            "SESSION_SERIALIZER pickles: whoever can write to the store could run code here. "
            "Use django.contrib.sessions.serializers.JSONSerializer, or a subclass."
        )


def _is_pickle(body: bytes) -> bool:
    try:
        for _ in pickletools.genops(body):
            pass
    except ValueError:  # no operation, or the last one is missing
        return False
    return True
