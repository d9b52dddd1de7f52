"""Work that is shared between threads."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from threading import Barrier, get_ident

import pytest
import torch

from harness.upstreams._threads import share


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets how many threads torch computes with."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("pieces", [0, 1, 2, 100])
def test_every_piece_is_done_once(threads: Callable[[int], None], count: int, pieces: int) -> None:
    threads(count)
    done: list[int] = []
    share(done.append, pieces)
    assert sorted(done) == list(range(pieces))


def test_two_threads_work_at_once(threads: Callable[[int], None]) -> None:
    threads(2)
    meeting, seen = Barrier(2, timeout=60), set()

    def work(_: int) -> None:
        meeting.wait()
        seen.add(get_ident())

    share(work, 2)
    assert len(seen) == 2


def test_one_thread_works_alone(threads: Callable[[int], None]) -> None:
    threads(1)
    seen = set()
    share(lambda _: seen.add(get_ident()), 20)
    assert seen == {get_ident()}


@pytest.mark.parametrize("bad", range(2))
def test_an_error_in_any_piece_is_raised(threads: Callable[[int], None], bad: int) -> None:
    threads(2)
    meeting = Barrier(2, timeout=60)

    def work(piece: int) -> None:
        meeting.wait()
        if piece == bad:
            raise ZeroDivisionError(piece)

    with pytest.raises(ZeroDivisionError):
        share(work, 2)


FORKED = """
import os, torch
from harness.upstreams._threads import share
torch.set_num_threads(2)
share(lambda piece: None, 4)
child = os.fork()
done = []
share(done.append, 4)
assert sorted(done) == [0, 1, 2, 3]
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux is sure to fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=120)
