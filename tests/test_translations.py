"""The catalogues: complete, compiled, and used."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils.translation.template import templatize

import django_jam_sessions

from .browsing import PASSWORD, Browser, Outline
from .test_pages import LIST, text_of

PACKAGE = Path(django_jam_sessions.__file__).parent
LANGUAGES = ["de", "fr"]
FUNCTIONS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
IN_CONTEXT = {"pgettext", "pgettext_lazy", "npgettext", "npgettext_lazy"}
STRING = r"""\s*u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*"""
CALL = re.compile(r"\b(?:\w*gettext|_)\(%s(?:,%s)*[^)]*\)" % (STRING, STRING))


def calls(source: str) -> Iterator[str]:
    """The msgids of a module, a context before its own as in a compiled catalogue."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        texts = [str(each.value) for each in node.args if isinstance(each, ast.Constant)]
        if name in FUNCTIONS:
            yield texts[0]
        elif name in IN_CONTEXT:
            yield "%s\x04%s" % (texts[0], texts[1])


def used() -> set[str]:
    """What the package says, checks excepted: they speak to developers."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name != "checks.py":
            found.update(calls(path.read_text()))
    for path in PACKAGE.rglob("*.html"):
        for call in CALL.findall(templatize(path.read_text())):
            found.update(calls(call))
    return found


def entries(language: str) -> dict[str, str]:
    """What the translators wrote, by msgid; its first form where there is a plural."""
    text = (PACKAGE / "locale" / language / "LC_MESSAGES" / "django.po").read_text()
    found = {}
    for entry in text.split("\n\n")[1:]:
        words: dict[str, str] = {}
        for name, lines in re.findall(r'^(msg\w+)(?:\[\d\])? ((?:".*"\n?)+)', entry, re.MULTILINE):
            words.setdefault(name, "".join(map(ast.literal_eval, lines.splitlines())))
        context = words["msgctxt"] + "\x04" if "msgctxt" in words else ""
        found[context + words["msgid"]] = words["msgstr"]
    return found


def compiled(language: str) -> dict[str, str]:
    """What Django reads; its first form where there is a plural."""
    path = PACKAGE / "locale" / language / "LC_MESSAGES" / "django.mo"
    with path.open("rb") as file:
        catalogue: dict[Any, str] = vars(gettext.GNUTranslations(file))["_catalog"]
    texts = {k[0] if isinstance(k, tuple) else k: v for k, v in reversed(catalogue.items())}
    del texts[""]  # the header
    return texts


def test_what_the_package_says_is_found() -> None:
    some = {"Password", "Unknown device", "It may have ended already.", "end a session\x04End"}
    assert some <= used()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_complete_and_compiled(language: str) -> None:
    written = entries(language)
    assert set(written) == used()
    assert [msgid for msgid, text in written.items() if not text] == []
    assert compiled(language) == written, "Compile it: msgfmt -o django.mo django.po"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_names_what_its_original_names(language: str) -> None:
    for msgid, text in entries(language).items():
        names = re.findall(r"%\(\w+\)\w|%\w", msgid)
        assert sorted(re.findall(r"%\(\w+\)\w|%\w", text)) == sorted(names)


@pytest.mark.django_db
@pytest.mark.parametrize("is_async", [False, True], ids=["wsgi", "asgi"])
@pytest.mark.parametrize(
    ("language", "heading", "ended", "button"),
    [
        ("de", "Ihre Sitzungen", "Alle Ihre anderen Sitzungen wurden beendet.", "Beenden (Sitzung"),
        ("fr", "Vos sessions", "Toutes vos autres sessions ont pris fin.", "Mettre fin à la"),
    ],
)
def test_a_page_speaks_the_languages_of_its_reader(
    settings: Any,
    tmp_path: Path,
    is_async: bool,
    language: str,
    heading: str,
    ended: str,
    button: str,
) -> None:
    settings.JAM_SESSIONS = {"JSON_PATH": tmp_path / "sessions"}
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
    user = get_user_model().objects.create_user("ada", password=PASSWORD)
    browser = Browser(is_async, language=language).sign_in(user)
    Browser(is_async).sign_in(user)
    outline = Outline(text_of(browser.get(LIST)))
    assert outline.named("html") == [{"lang": language}]
    assert outline.words("h1") == [heading]
    assert outline.words("button")[0].startswith(button)
    outline = Outline(text_of(browser.post(LIST + "end-others/", follow=True)))
    assert outline.words("p")[0] == ended
