"""What blocks is done by a few threads, while the door goes on listening."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class ThreadPool:
    """A few threads of a name."""

    def __init__(self, name: str, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def do(self, work: Callable[[], T], *, within: float | None = None) -> T:
        """Have something done. TimeoutError when it is not done in time: what was begun then still ends, what was
        not begun never is."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        return await asyncio.wait_for(future, within)

    def rest(self) -> None:
        """End, once what was begun is done."""
        self._pool.shutdown(wait=True, cancel_futures=True)
