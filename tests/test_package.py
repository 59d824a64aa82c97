"""What is shipped: the package, its types, and nothing else."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import django_jam_sessions

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "django_jam_sessions"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*command, str(directory), str(ROOT)], check=True)
    (path,) = directory.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_package_and_nothing_else(wheel: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    version = django_jam_sessions.__version__
    assert tops == {"django_jam_sessions", "django_jam_sessions-%s.dist-info" % version}
    assert "django_jam_sessions/py.typed" in wheel
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
    shipped = {".py", ".html", ".css", ".po", ".mo", ".typed"}
    sources = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*") if path.suffix in shipped}
    assert {name for name in wheel if name.startswith("django_jam_sessions/")} == sources
    assert "django_jam_sessions/migrations/0001_initial.py" in wheel
    assert "django_jam_sessions/templates/admin/jam_sessions/pagination.html" in wheel


def test_the_metadata_says_what_is_needed() -> None:
    metadata = importlib.metadata.metadata("django-jam-sessions")
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.10"
    required = importlib.metadata.requires("django-jam-sessions") or []
    names = {text.split(";")[0].split(">")[0].split("!")[0].split("[")[0] for text in required}
    assert {name.lower() for name in names} == {"django", "cryptography", "redis", "ua-parser"}


LAYERS = {
    "exceptions": set(),
    "queues": set(),
    "steps": {"queues"},
    "merge": set(),
    "codec": {"exceptions"},
    "sealing": {"codec"},
    "serialization": set(),
    "patience": set(),
    "backends": {"codec", "exceptions", "patience", "steps"},
    "devices": set(),
    "infos": {"codec", "sealing", "backends", "devices"},
    "opener": {"codec", "sealing", "backends", "infos"},
    "policy": {"backends"},
    "current": set(),
    "audit": {"codec", "current"},
    "signals": {"audit", "codec", "steps"},
    "listings": {"codec", "steps", "infos", "opener", "signals"},
    "operations": {
        *("codec", "sealing", "steps", "backends", "exceptions"),
        *("infos", "opener", "policy", "signals", "listings"),
    },
    "conf": {"sealing", "policy"},
}


@pytest.mark.parametrize("layer", LAYERS)
def test_each_arrow_points_one_way(layer: str) -> None:
    """The layers of the package, as its imports have them."""
    files = sorted((PACKAGE / layer).glob("*.py")) or [PACKAGE / (layer + ".py")]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            outside = 2 if file.parent.name == layer else 1
            if isinstance(node, ast.ImportFrom) and node.level == outside:
                names = [node.module] if node.module else [alias.name for alias in node.names]
                for name in names:
                    assert str(name).split(".")[0] in LAYERS[layer], (file.name, name)


def test_the_public_names_are_sorted_and_there() -> None:
    assert sorted(django_jam_sessions.__all__) == django_jam_sessions.__all__
    for name in django_jam_sessions.__all__:
        assert hasattr(django_jam_sessions, name)
