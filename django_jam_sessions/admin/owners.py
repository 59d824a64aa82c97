"""The users that session keys stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse

from ..receivers import key_of, keys_are_users


def users_of(keys: Iterable[str]) -> dict[str, AbstractBaseUser]:
    """The users whose session keys these are, by key: one query, whatever the keys hold."""
    if not keys_are_users():
        return {}
    manager = get_user_model()._default_manager
    values = list(_primary_keys(keys))
    return {key_of(user): user for user in manager.filter(pk__in=values)} if values else {}


def key_of_user(name: str) -> str | None:
    """The session key of the user of that name, None where there is none."""
    model = get_user_model()
    if not keys_are_users() or "\0" in name:
        return None
    try:
        return key_of(model._default_manager.get_by_natural_key(name))
    except model.DoesNotExist:
        return None


def user_url(site: AdminSite, request: HttpRequest, user: AbstractBaseUser) -> str:
    """The user's page in this admin; empty where there is none that may be seen."""
    model = get_user_model()
    if not site.is_registered(model):
        return ""
    if not site.get_model_admin(model).has_view_or_change_permission(request, cast(Any, user)):
        return ""
    name = "admin:%s_%s_change" % (model._meta.app_label, model._meta.model_name)
    return reverse(name, args=[quote(user.pk)], current_app=site.name)


def _primary_keys(keys: Iterable[str]) -> Iterator[Any]:
    """Those of the keys that a user's primary key could be."""
    field = get_user_model()._meta.pk
    for key in keys:
        try:
            value = field.to_python(key)
            field.run_validators(value)
        except ValidationError:
            continue
        if "\0" not in key:  # which PostgreSQL refuses
            yield value
