"""The page "Your sessions" and the JSON views, to be included anywhere."""

from django.urls import include, path

from . import views

app_name = "jam_sessions"
urlpatterns = [
    path("", views.list_sessions, name="list"),
    path("end-others/", views.end_others, name="end-others"),
    path("end-all/", views.end_all, name="end-all"),
    path("<str:handle>/end/", views.end, name="end"),
    path("api/", include("django_jam_sessions.api_urls")),
]
