"""What a process of ours does with memory and threads."""

import os
import subprocess
import sys

import pytest

from harness import process


def test_freed_memory_is_given_back_at_once_or_kept_for_what_comes_next() -> None:
    if process._glibc() is None:
        pytest.skip("only glibc can be told to keep what is freed")
    code = """
import os
import resource
import numpy as np
from harness import memory, process
SIZE = 100_000_000
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(SIZE, np.uint8)[::4096] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def held():
    return memory.resident(os.getpid())
before = held()
process.keep_nothing()
fresh, nothing = pages(), held() - before
process.keep_freed()
pages()
kept, full = pages(), held() - before
process.give_back()
empty = held() - before
process.at_hand(2 * SIZE)
print(nothing, fresh, kept, full, empty, pages())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    nothing, fresh, kept, full, empty, at_hand = map(int, done.stdout.split())
    assert 10 * max(kept, at_hand) < fresh
    assert full > 90_000_000 > 10_000_000 > max(nothing, empty)


def test_threads_sleep_soon_unless_the_user_has_said_how_long_they_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    process.wait_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == "1000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    process.wait_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
