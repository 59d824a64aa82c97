"""What a site does with sessions grouped by key: list them, end one, sign out everywhere."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from django_jam_sessions import SessionNotFoundError, sessions


async def own_key(request: HttpRequest) -> str:
    return str((await request.auser()).pk)


async def home(request: HttpRequest) -> HttpResponse:
    user = await request.auser()
    found = []
    if user.is_authenticated:
        current = request.session.session_key
        page = await sessions.list(str(user.pk), current=current)
        found = sorted(page, key=lambda info: info.last_seen_at, reverse=True)
    return render(request, "home.html", {"user": user, "sessions": found})


@require_POST
@login_required
async def end(request: HttpRequest) -> HttpResponse:
    try:
        await sessions.end(await own_key(request), request.POST.get("handle", ""))
    except SessionNotFoundError as error:
        raise Http404 from error
    return redirect("home")


@require_POST
@login_required
async def sign_out_others(request: HttpRequest) -> HttpResponse:
    await sessions.clear_others(request.session.session_key or "")
    return redirect("home")


@require_POST
@login_required
async def sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    await sessions.clear(await own_key(request))
    return redirect("home")
