"""Times as people can read them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from django.utils.timezone import override as override_zone
from django.utils.translation import override

from django_jam_sessions.text import readable_time, zoned_time

MOMENT = datetime(2026, 11, 7, 3, 40, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        ("en", ["Nov. 7, 2026,", "3:40 a.m."]),
        ("de", ["7. November 2026", "03:40"]),
        ("ja", ["2026年11月7日3:40"]),
    ],
)
def test_a_time_wraps_before_the_time_of_day_alone(language: str, lines: list[str]) -> None:
    with override(language):
        text = readable_time(MOMENT)
    assert [line.replace("\N{NO-BREAK SPACE}", " ") for line in text.split(" ")] == lines


@pytest.mark.parametrize(
    ("language", "zone", "lines"),
    [
        ("en", "UTC", ["Nov. 7, 2026,", "3:40 a.m. UTC"]),
        ("de", "Europe/Berlin", ["7. November 2026", "04:40 CET"]),
        ("fr", "America/Sao_Paulo", ["7 novembre 2026", "00:40 -03"]),
    ],
)
def test_a_time_says_its_zone(language: str, zone: str, lines: list[str]) -> None:
    with override(language), override_zone(zone):
        text = zoned_time(MOMENT)
    assert [line.replace("\N{NO-BREAK SPACE}", " ") for line in text.split(" ")] == lines
