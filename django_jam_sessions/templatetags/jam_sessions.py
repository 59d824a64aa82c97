from __future__ import annotations

from django.template import Library

from ..text import zoned_time

register = Library()
register.filter(zoned_time)
