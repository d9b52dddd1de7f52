"""What is read of a device while a forward runs on it: when it has done, and the most memory that it took."""

import os
import resource
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch

from harness import memory, process

#: What the limit on private memory leaves beyond the budget, for threads and for what is loaded later.
SPARE = 1 << 30


class Gauge(ABC):
    """Reads a device on behalf of this process."""

    @abstractmethod
    def bound(self, share: float, budget: int | None) -> int | None:
        """Let what takes more than a budget fail in this process, not elsewhere on the machine.

        Returns:
            The budget in bytes: the one given, or that share of what is free; None where that cannot be told.
        """

    @abstractmethod
    def prepare(self, forward: Callable[[], object], size: int) -> None:
        """Have the memory of a forward at hand, so that it is timed as it is among others: extraction gives none back
        between clips. ``size`` are the bytes that it took before."""

    @abstractmethod
    def used(self) -> int:
        """The bytes in use, once what is merely kept has been given back."""

    @abstractmethod
    def begin(self) -> None:
        """Forget earlier peaks."""

    @abstractmethod
    def wait(self) -> None:
        """Until the device has done what it was told."""

    @abstractmethod
    def most(self) -> int | None:
        """The most bytes in use since :meth:`begin`."""

    @abstractmethod
    def give_back(self) -> None:
        """Leave what is not in use to the other processes."""


@final
class Processor(Gauge):
    """A CPU: the memory is that of this process."""

    def bound(self, share: float, budget: int | None) -> int | None:
        """By the kernel's limit on private memory; how much is really in use, the parent watches."""
        if budget is None and (free := memory.available()) is not None:
            budget = int(share * free)
        if budget is not None and sys.platform == "linux" and (now := memory.private()) is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (now + budget + SPARE, resource.RLIM_INFINITY))
        return budget

    def prepare(self, forward: Callable[[], object], size: int) -> None:
        """From the kernel, page by page."""
        process.at_hand(size)

    def used(self) -> int:
        """What is resident; the first forward is held to that too, which makes it slow."""
        process.keep_nothing()
        return memory.resident(os.getpid()) or 0

    def begin(self) -> None:
        """From here on, the kernel's high-water mark."""
        memory.begin_peak()

    def wait(self) -> None:
        """It is done when a call returns."""

    def most(self) -> int | None:
        """The high-water mark of resident memory."""
        return memory.peak()

    def give_back(self) -> None:
        """From now on it goes back here alone."""
        process.keep_freed()
        process.give_back()


@final
class Card(Gauge):
    """A CUDA device: the memory is that of torch's allocator."""

    def bound(self, share: float, budget: int | None) -> int | None:
        """By the allocator's own limit."""
        free, there = torch.cuda.mem_get_info()
        allowed = int(share * free) if budget is None else budget
        torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_allocated() + allowed) / there))
        return allowed

    def prepare(self, forward: Callable[[], object], size: int) -> None:
        """By a forward, since torch's allocator keeps blocks by their sizes."""
        forward()

    def used(self) -> int:
        """What the allocator has handed out."""
        torch.cuda.synchronize()
        return int(torch.cuda.memory_allocated())

    def begin(self) -> None:
        """From here on, the allocator's peak."""
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()

    def wait(self) -> None:
        """For all kernels."""
        torch.cuda.synchronize()

    def most(self) -> int | None:
        """The allocator's peak, without what it merely keeps."""
        return int(torch.cuda.max_memory_allocated())

    def give_back(self) -> None:
        """What the allocator keeps, so that others may take their turn on the card."""
        torch.cuda.empty_cache()
