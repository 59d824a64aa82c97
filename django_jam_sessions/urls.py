"""The page "Your sessions", to be included anywhere."""

from django.urls import path

from . import views

app_name = "jam_sessions"
urlpatterns = [
    path("", views.list_sessions, name="list"),
    path("end-others/", views.end_others, name="end-others"),
    path("end-all/", views.end_all, name="end-all"),
    path("<str:handle>/end/", views.end, name="end"),
]
