from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from django_jam_sessions import sessions


async def home(request: HttpRequest) -> HttpResponse:
    user = await request.auser()
    count = await sessions.count(str(user.pk)) if user.is_authenticated else 0
    return render(request, "home.html", {"user": user, "count": count})
