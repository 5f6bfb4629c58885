"""The most that a processor does in a second: products of two float32 matrices, by the quicker of torch's two ways."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.nn import functional


class MatrixProduct:
    """Products of two square float32 matrices, which a call multiplies.

    BLAS takes `torch.mm` and oneDNN takes convolutions; which of the two makes use of all of a processor differs from
    one to the next, so whichever is quicker here is taken. On an AMD processor with AVX-512 that is oneDNN, by a
    factor of two: measured against `torch.mm` alone, networks would seem to exceed the limit.
    """

    def __init__(self, side: int, count: int = 1) -> None:
        """Make matrices of `side` rows and columns, for `count` products a call, and try both ways."""
        self.gflop = 2 * side**3 * count / 1e9
        self._count = count
        matrix, out = torch.randn(side, side), torch.empty(side, side)
        columns = matrix.t().reshape(1, side, side, 1).contiguous(memory_format=torch.channels_last)
        kernel = matrix.reshape(side, side, 1, 1).contiguous(memory_format=torch.channels_last)
        ways: dict[str, Callable[[], object]] = {
            "torch.mm": lambda: torch.mm(matrix, matrix, out=out),
            "oneDNN": lambda: functional.conv2d(columns, kernel),
        }
        with torch.inference_mode():
            took = {way: min(_seconds(multiply) for _ in range(3)) for way, multiply in ways.items()}
        self.way = min(took, key=took.__getitem__)
        self._multiply = ways[self.way]

    def __call__(self) -> None:
        """Multiply."""
        for _ in range(self._count):
            self._multiply()


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
