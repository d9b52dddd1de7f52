"""What a forward computes: FLOPs by formula, what has no formula by name, the parameters it reads, the memory it needs.

FLOPs of a matrix product are two for each multiplication with its addition, so that MACs are half of them. An
exponential counts as one. Operations that upstreams define, such as the scan, bring their own formulas.
"""

import math
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry, sdpa_flop_count

#: What only moves numbers, or makes constant ones; views are known by themselves.
MOVES = {
    *("alias", "cat", "clone", "constant_pad_nd", "copy_", "flip", "gather", "index", "index_select", "lift_fresh"),
    *("reflection_pad1d", "repeat", "roll", "stack", "where", "_to_copy", "_unsafe_view", "device"),
    *("arange", "empty", "empty_like", "empty_strided", "fill_", "full", "full_like", "new_empty", "new_empty_strided"),
    *("new_full", "new_ones", "new_zeros", "ones", "ones_like", "rand", "randn", "scalar_tensor", "zero_", "zeros"),
    "zeros_like",
}
#: What hands a tensor to code that cannot be counted.
OUTSIDE = (Tensor.numpy, Tensor.__array__)


@dataclass(frozen=True)
class Count:
    """What one forward computes.

    ``uncounted`` are operations without a formula (norms, activations, sums), each with how many numbers it made;
    ``numpy`` among them stands for whatever happened outside torch. ``used`` are the numbers in the parameters that
    were read. ``peak_bytes`` is the most that live tensors took at once, without parameters and without what kernels
    take for themselves. ``attends`` says whether the attention of torch was called, whose kernel can be chosen.
    """

    flops: int
    by_operation: Mapping[str, int]
    uncounted: Mapping[str, int]
    used: int
    peak_bytes: int
    attends: bool

    @property
    def macs(self) -> int:
        """Multiplications with their additions."""
        return self.flops // 2


def count(forward: Callable[[], object], *, dry: bool = True) -> Count:
    """Count a forward without gradients; ``dry`` follows shapes alone, so that nothing is computed and no memory taken.

    The forward makes its own inputs: a dry one cannot take tensors from outside, except for parameters.

    Raises:
        RuntimeError: a dry forward asked for a number that only computing would tell.
    """
    ledger, reader, counter = _Ledger(), _Reader(), FlopCounterMode(display=False, custom_mapping=FORMULAS)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        if dry:
            stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        for mode in (ledger, counter, reader):
            stack.enter_context(mode)
        forward()
    by_operation = {str(op): int(flops) for op, flops in counter.get_flop_counts().get("Global", {}).items()}
    outside = {"numpy": reader.outside} if reader.outside else {}
    used = sum(parameter.numel() for parameter in reader.parameters.values())
    uncounted = dict(ledger.uncounted.most_common()) | outside
    return Count(sum(by_operation.values()), by_operation, uncounted, used, ledger.peak, reader.attends)


class _Ledger(TorchDispatchMode):
    """Notes the operations that have no formula, and how much memory is alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.uncounted: Counter[str] = Counter()
        self.alive = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        packet = func.overloadpacket
        name = packet.__name__
        if tensors and not (packet in flop_registry or packet in FORMULAS or func.is_view or name in MOVES):
            self.uncounted[name.rstrip("_")] += sum(tensor.numel() for tensor in tensors)
        for tensor in tensors:
            self._note(tensor.untyped_storage())
        return out

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._forget, key, size).atexit = False

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.alive -= size


class _Reader(TorchFunctionMode):
    """Notes which parameters are read, whether torch's attention is called, and what leaves torch."""

    def __init__(self) -> None:
        super().__init__()
        self.parameters: dict[int, nn.Parameter] = {}
        self.attends = False
        self.outside = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = tree_leaves((args, kwargs))
        self.parameters |= {id(leaf): leaf for leaf in given if isinstance(leaf, nn.Parameter)}
        self.attends |= func is nn.functional.scaled_dot_product_attention
        if func in OUTSIDE:
            self.outside += args[0].numel()
        return func(*args, **(kwargs or {}))


def _attention_flops(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    """Two matrix products, as for the fused kernels of GPUs."""
    return int(sdpa_flop_count(query, key, value))


def _complex_fft_flops(x: Sequence[int], dim: Sequence[int], *_: Any, **__: Any) -> int:
    """The usual 5 n log2 n of a transform of n complex numbers."""
    length = math.prod(x[d] for d in dim)
    return round(5 * math.prod(x) * math.log2(max(2, length)))


def _real_fft_flops(x: Sequence[int], dim: Sequence[int], *_: Any, **__: Any) -> int:
    """Half of a complex one's."""
    return _complex_fft_flops(x, dim) // 2


def _inverse_real_fft_flops(x: Sequence[int], dim: Sequence[int], *_: Any, out_shape: Sequence[int]) -> int:
    """Half of a complex one's, which is as long as what comes out."""
    return _complex_fft_flops(out_shape, dim) // 2


#: What torch has no formula for, or had none when this was written.
FORMULAS = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten._fft_c2c: _complex_fft_flops,
    torch.ops.aten._fft_r2c: _real_fft_flops,
    torch.ops.aten._fft_c2r: _inverse_real_fft_flops,
}
