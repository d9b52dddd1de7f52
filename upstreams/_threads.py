"""Pieces of work that hold no lock of Python, on as many threads as torch computes with."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch


def share(work: Callable[[int], None], pieces: int) -> None:
    """Call ``work`` with 0, 1, ... ``pieces`` - 1, each once, on up to ``torch.get_num_threads()`` threads.

    The calling thread takes part; with one thread there is no other. May be called by several threads at once, but
    not by ``work``.
    """
    left = deque(range(pieces))

    def take() -> None:
        while True:
            try:
                piece = left.popleft()
            except IndexError:  # another thread may have taken the last since one looked
                return
            work(piece)

    helpers = min(torch.get_num_threads(), pieces) - 1
    if helpers <= 0:
        return take()
    helping = [_crew(os.getpid()).submit(take) for _ in range(helpers)]
    take()
    for helper in helping:
        if not helper.cancel():  # it has begun
            helper.result()
    return None


@cache
def _crew(process: int) -> ThreadPoolExecutor:
    """Threads of a process: one that is forked from it has none of them."""
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="harness-kernels")
