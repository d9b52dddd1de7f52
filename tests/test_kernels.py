"""How kernels are compiled; what they compute, the tests of the scan and of the convolution tell."""

import platform
import re

import numba
import numpy as np
import pytest

from harness.upstreams import _kernels
from harness.upstreams._kernels import ROW, _compiled


def twice(x: _kernels.Array) -> None:
    for i in range(len(x)):
        x[i] *= np.float32(2)


def test_a_kernel_is_compiled_where_no_folder_can_be_written_to() -> None:
    # Nothing tells numba where a function without a file could be kept.
    names: dict[str, object] = {}
    exec("def twice(x):\n    for i in range(len(x)): x[i] *= 2", names)
    kernel, x = _compiled(ROW)(names["twice"]), np.arange(3, dtype=np.float32)
    kernel(x)
    assert x.tolist() == [0, 2, 4]


def test_a_kernel_is_compiled_where_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.FunctionCache.save_overload", full)
    kernel, x = _compiled(ROW)(twice), np.arange(3, dtype=np.float32)
    kernel(x)
    assert x.tolist() == [0, 2, 4]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the instructions looked for are x86's")
@pytest.mark.parametrize("kernel", ["scan", "convolve", "gate"])
def test_the_loops_over_channels_are_vectors_exponentials_included(kernel: str) -> None:
    cached = getattr(_kernels, kernel)
    fresh = numba.njit(**_kernels.OPTIONS)(cached.py_func)  # of what comes from the disk no assembly can be had
    fresh.compile(cached.signatures[0])
    (assembly,) = fresh.inspect_asm().values()
    assert re.search(r"v?pslld\s+\$23, %[xyz]mm", assembly)
    assert re.search(r"v?divps\s.*%[xyz]mm", assembly)
    assert len(re.findall(r"(?:mul|fmadd\d+)ps\s.*%[xyz]mm", assembly)) >= 7
