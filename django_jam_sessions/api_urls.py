"""The URLs of the API, to be included anywhere. No id is ever in one."""

from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter

from .api import own, store
from .api.endpoints import Endpoint, Nowhere


class SessionKeyConverter(StringConverter):
    regex = r"[\s\S]+"  # slashes, and the line ends that Django's path converter does not take


register_converter(SessionKeyConverter, "jam_session_key")

urlpatterns = [
    path("sessions/", Endpoint(GET=own.list_own, DELETE=own.end_all), name="api-sessions"),
    path("sessions/others/", Endpoint(DELETE=own.end_others), name="api-others"),
    path("sessions/<handle>/", Endpoint(DELETE=own.end_own), name="api-session"),
    path(
        "store/",
        Endpoint(POST=store.create, GET=store.get, PUT=store.update, DELETE=store.delete),
        name="api-store",
    ),
    path("store/rework/", Endpoint(POST=store.rework), name="api-rework"),
    path(
        "store/keys/<jam_session_key:session_key>/",
        Endpoint(GET=store.list_key, DELETE=store.clear_key),
        name="api-key",
    ),
    re_path("", Nowhere()),
]
