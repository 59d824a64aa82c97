"""The threads in which blocking calls are awaited.

They are nobody else's: whoever waits for a turn in one of the event loop's own must not keep the
turn's holder from going on.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def _renew() -> None:
    """A forked child has none of its parent's threads."""
    global _executor
    _executor = ThreadPoolExecutor(thread_name_prefix="jam_sessions")


_executor: ThreadPoolExecutor
_renew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """What the function returns, or raises, in a thread and in a copy of this context."""
    run = contextvars.copy_context().run
    loop = asyncio.get_running_loop()

    def call() -> T:
        try:
            return run(function, *arguments)
        except StopIteration as error:  # no future takes it: whoever awaits it waits for ever
            raise RuntimeError("A blocking call raised StopIteration.") from error

    return await loop.run_in_executor(_executor, call)
