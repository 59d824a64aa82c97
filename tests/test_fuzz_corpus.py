"""Inputs that fuzzing found, and hostile ones by hand: typed errors come out, and no others."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from . import fuzz


@pytest.fixture(params=fuzz.TARGETS)
def target(request: pytest.FixtureRequest) -> Iterator[Any]:
    module = importlib.import_module("tests.fuzz." + request.param)
    with override_settings(**getattr(module, "SETTINGS", {})):
        yield module


def test_nothing_but_typed_errors_comes_out(target: Any) -> None:
    inputs = fuzz.kept(target.__name__.rpartition(".")[2])
    assert inputs
    for each in inputs:
        try:
            target.one_input(each)
        except Exception as error:
            raise AssertionError("The input: %r" % each) from error


def test_nothing_but_typed_errors_comes_out_of_what_is_nested_without_end(target: Any) -> None:
    for nested in (b"[", b'["17",', b'{"a":'):
        for before in (b"", b"\x00", b"\x00\n"):
            target.one_input(before + nested * 20_000)


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert sorted(path.stem for path in fuzz.CORPUS.glob("*.txt")) == fuzz.TARGETS
