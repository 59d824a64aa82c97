from __future__ import annotations

import django
from django.template import Library

register = Library()


@register.simple_tag
def breadcrumbs_are_a_list() -> bool:
    """Since Django 6.1 the admin's breadcrumbs are an ol, and nothing else is styled as such."""
    return django.VERSION >= (6, 1)
