"""A site that has the pages, and neither an admin nor messages."""

from django.urls import include, path

from testproject import views

urlpatterns = [
    path("", views.home, name="home"),
    path("accounts/", include("django.contrib.auth.urls")),
    path("sessions/", include("django_jam_sessions.urls")),
]
