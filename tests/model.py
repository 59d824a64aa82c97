"""What SessionModule promises, as a dictionary; and what is thrown at it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import strategies as st

from django_jam_sessions import codec

MINUTE = 60_000  # ms

# Some keys that must not be taken for one another, and what quoting or encoding could break.
KEYS = [
    "5",
    "5 ",
    "\u0665",
    "é",
    "e\u0301",
    ":",
    "a:b",
    "a",
    "\"'\\\n\r\t\0{}[]*?%s",
    "x" * 255,
    "🎉" * 255,
]
keys = (
    st.just("5")
    | st.sampled_from(KEYS)
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255)
)
bad_keys = st.sampled_from(["", "x" * 256, "\ud800", "a\udfff", None, 5, b"5", ["5"], True])

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
)
_names = st.text(st.characters(), max_size=10)  # lone surrogates too
values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=8,
)
datas = st.dictionaries(_names, values, max_size=4)
bad_datas: st.SearchStrategy[Any] = st.sampled_from(
    [
        {"a": float("nan")},
        {"a": [{"b": float("inf")}]},
        {"a": b"bytes"},
        {"a": {1: "a key that would come back as another"}},
        {None: 1},
        {"a": {"set"}},
        {"a": object()},
        {"a": [[], ([{2: 2}],)]},
        [],
        None,
        "text",
    ]
)
sessions = st.integers(0, 1 << 30)  # picks one of those that there are


def damaged(text: str) -> list[Any]:
    """What is nearly an id, or a handle, and what is nothing like one."""
    return [
        text[:-1],
        text[1:],
        text + "\n",
        "\n" + text,
        text + "\0",
        text + "a",
        text.upper() + "A",
        text[:15].translate(str.maketrans("01ab", "10ba")) + "0" + text[16:],
        text[:-1] + ("a" if text[-1] != "a" else "b"),
        text[:-1] + "٣",
        text[:20] + "é" + text[21:],
        text.replace(".", ""),
        text * 100,
        "../" + text,
        "",
        " ",
        "0" * 40,
        "z" * 41,
        "a" * 1_000_000,
        "\ud800" * 40,
        text.encode(),
        None,
        40,
        [text],
        {},
    ]


def handle(session_id: str) -> str:
    place = codec.place_of(session_id)
    assert place is not None
    return codec.handle_of(place.locator, place.field)


@dataclasses.dataclass
class Session:
    id: str
    key: str
    data: dict[str, Any]
    secret: str
    created: int
    seen: int | None  # None: either of two times
    idle: int | None  # when it ends unless it is written to
    absolute: int | None  # when it ends for all that

    @property
    def expires(self) -> int | None:
        return min((end for end in (self.idle, self.absolute) if end is not None), default=None)

    @property
    def handle(self) -> str:
        return handle(self.id)


class Model:
    """Sessions by id. A dead one is never forgotten."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._held: dict[str, Session] = {}
        self._keys: dict[str, str] = {}  # whose session an id ever was
        self.dead: list[str] = []

    def add(self, session: Session) -> None:
        assert session.id not in self._keys
        self._keys[session.id] = session.key
        self._held[session.id] = session

    def end(self, ended: Iterable[Session]) -> None:
        for session in list(ended):
            del self._held[session.id]
            self.dead.append(session.id)

    def live(self, secrets: str, key: str | None = None) -> list[Session]:
        """What a module of these secrets sees, the oldest first."""
        return [each for each in self._of(secrets, key) if not self._expired(each)]

    def expired(self, secrets: str, key: str | None = None) -> list[Session]:
        """Not to be seen, and the store may or may not hold it still."""
        return [each for each in self._of(secrets, key) if self._expired(each)]

    def find(self, session_id: str, secrets: str) -> Session | None:
        return next((each for each in self.live(secrets) if each.id == session_id), None)

    def every_id(self) -> list[str]:
        return list(self._keys)

    def key_of(self, session_id: str) -> str:
        return self._keys[session_id]

    def every_key(self) -> set[str]:
        return set(self._keys.values())

    def edges(self) -> list[int]:
        """The times at which something expires."""
        return sorted({each.expires for each in self._held.values() if each.expires is not None})

    def _of(self, secrets: str, key: str | None) -> list[Session]:
        return [
            each
            for each in self._held.values()
            if each.secret in secrets and key in (None, each.key)
        ]

    def _expired(self, session: Session) -> bool:
        return session.expires is not None and session.expires <= self._now()


def as_stored(data: dict[str, Any]) -> Any:
    """What JSON makes of it."""
    return json.loads(json.dumps(data))
