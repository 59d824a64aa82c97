"""The soak for some seconds: that it runs, and that it sees what it is there to see."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from .soak import samples
from .soak.figures import SURPRISE
from .soak.run import DURABLE, Soak
from .soak.users import OUT

FORGETFUL = ("--save", "", "--appendonly", "no")


def soaked(directory: Path, options: tuple[str, ...]) -> Soak:
    soak = Soak(directory, seconds=6, users=6, think=0.1, every=4, options=options)
    asyncio.run(soak.run())
    return soak


def test_nobody_is_signed_out_by_a_restart(tmp_path: Path) -> None:
    soak = soaked(tmp_path, DURABLE)
    assert set(soak.figures.wrong) <= {SURPRISE}, soak.report()  # a busy machine may surprise


def test_the_soak_sees_who_is_signed_out(tmp_path: Path) -> None:
    soak = soaked(tmp_path, FORGETFUL)
    assert soak.figures.wrong[OUT] >= 3


@pytest.mark.parametrize("per_minute", [0, 1])
def test_the_soak_sees_growth(tmp_path: Path, per_minute: int) -> None:
    soak = Soak(tmp_path, seconds=1800, users=0, think=1, every=120)
    for at in range(0, 1800, 10):
        values: dict[str, Any] = {"files": 40.0 + at // 60 * per_minute + at // 10 % 3}
        soak.samples.append(samples.Sample(float(at), "worker 1", values))
    soak.judge()
    assert soak.figures.wrong["growth"] == per_minute
