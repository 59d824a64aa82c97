"""The URLs of the API, to be included anywhere. No id is ever in one."""

from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter

from . import api
from .api import Endpoint, Nowhere


class SessionKeyConverter(StringConverter):
    regex = r"[\s\S]+"  # slashes, and the line ends that Django's path converter does not take


register_converter(SessionKeyConverter, "jam_session_key")

urlpatterns = [
    path("sessions/", Endpoint(GET=api.list_own, DELETE=api.end_all), name="api-sessions"),
    path("sessions/others/", Endpoint(DELETE=api.end_others), name="api-others"),
    path("sessions/<handle>/", Endpoint(DELETE=api.end_own), name="api-session"),
    path(
        "store/",
        Endpoint(POST=api.create, GET=api.get, PUT=api.update, DELETE=api.delete),
        name="api-store",
    ),
    path("store/rework/", Endpoint(POST=api.rework), name="api-rework"),
    path(
        "store/keys/<jam_session_key:session_key>/",
        Endpoint(GET=api.list_key, DELETE=api.clear_key),
        name="api-key",
    ),
    re_path("", Nowhere()),
]
