"""A child process that is watched: whatever it does, what it was asked ends with an answer or with a sentence."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Literal, Self, final

from harness import memory

Status = Literal["measured", "memory", "time", "crashed", "refused", "unfollowed", "cropped", "skipped"]
#: How often a child's memory is looked at, in seconds.
LOOK = 0.05
#: Seconds for a process to end that has closed its end of a pipe.
GRACE = 5.0


class Ended(Exception):
    """A child that gave no answer, or not the one that was asked for: how it ended, and a sentence on it."""

    def __init__(self, status: Status, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


@final
class Child:
    """A fresh process of :mod:`harness.meter`, in a group of its own, which is killed whole.

    ``budget`` bounds, in bytes, what it and its children hold in memory.
    """

    def __init__(self, budget: int | None) -> None:
        self._budget, self._before = budget, 0
        self._open = stack = ExitStack()
        self._errors = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (kill closes it)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.meter"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def ask(self, order: str, seconds: float, **told: Any) -> Mapping[str, Any]:
        """Give an order and wait so many seconds for what it gives.

        Raises:
            Ended: there is no answer in time, it takes too much memory or crashes, and the child is gone; or it is
                refused, and further orders may be given.
        """
        try:
            return self._ask(json.dumps({"do": order, **told}), seconds)
        except Ended as end:
            if end.status not in ("refused", "unfollowed"):
                self.kill()
            raise

    def allow(self, budget: int) -> None:
        """From now on it may hold so many bytes more than it does."""
        self._budget, self._before = budget, memory.resident_with_children(self._process.pid) or 0

    def kill(self) -> None:
        """End it and all that it has started."""
        if not self._errors.closed:
            with suppress(ProcessLookupError):  # it and its children have ended
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                with suppress(BrokenPipeError):  # an order that it did not live to read
                    pipe.close()
            self._open.close()

    def _ask(self, order: str, seconds: float) -> Mapping[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(order.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._crash() from None
        match json.loads(self._line(seconds)):
            case {"done": values}:
                return dict(values)
            case {"refused": sentence}:
                raise Ended("refused", sentence)
            case {"unfollowed": sentence}:
                raise Ended("unfollowed", f"cannot be followed by its shapes: {sentence}")
            case {"memory": sentence}:
                raise Ended("memory", f"out of memory within {_size(self._budget)}: {sentence}")
            case other:
                raise AssertionError(f"no answer of the meter: {other}")

    def _line(self, seconds: float) -> bytes:
        """The next line, as long as time and memory last."""
        assert self._process.stdout is not None
        pipe, text, end = self._process.stdout.fileno(), b"", time.monotonic() + seconds
        while not text.endswith(b"\n"):
            if time.monotonic() > end:
                raise Ended("time", f"stopped after {seconds:.3g} s")
            held = (memory.resident_with_children(self._process.pid) or 0) - self._before
            if self._budget is not None and held > self._budget:
                raise Ended("memory", f"stopped at {_size(held)} of memory, where {_size(self._budget)} are allowed")
            if select.select([pipe], [], [], LOOK)[0]:
                read = os.read(pipe, 1 << 16)
                if not read:
                    raise self._crash()
                text += read
        return text

    def _crash(self) -> Ended:
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return Ended("crashed", "went silent without ending")
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        if code >= 0:
            return Ended("crashed", f"crashed: {said[-1][:300]}" if said else f"ended by itself with exit code {code}")
        name = signal.Signals(-code).name
        return Ended("crashed", f"killed by {name}{', as when memory runs out' * (name == 'SIGKILL')}")


def _size(number: float | None) -> str:
    return "the machine's memory" if number is None else f"{number / 1e9:.1f} GB"
