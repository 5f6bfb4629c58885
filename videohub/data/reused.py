"""Memory that is used again once nobody looks at what is in it.

A system may take longer for new pages than anybody for what is written to them: on a virtual machine, 200 frames of
340 x 256 were prepared in 150 ms where there was memory, and in 170 to 700 where there was none yet.
"""

from __future__ import annotations

import math
import mmap
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt


class Watched(np.ndarray[Any, np.dtype[Any]]):
    """An array, made on a `mmap`, that ends when the last view of it ends.

    numpy lets a view keep the array at the very bottom alive instead of those in between, but only among arrays of one
    type; and this one lies at the bottom, for below it there is no other.
    """


class Pool:
    """Memory for float32 arrays of which a few are in use at a time. Not for several threads at once."""

    def __init__(self) -> None:
        self._pieces: list[tuple[mmap.mmap, weakref.ref[Watched]]] = []

    def room(self, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """Return an array whose memory nobody else uses, as long as it or anything made of it is there."""
        needed = 4 * math.prod(shape)
        unused = [piece for piece in self._pieces if piece[1]() is None]
        fitting = [memory for memory, _ in unused if len(memory) >= needed]
        self._pieces = [piece for piece in self._pieces if piece[1]() is not None]
        if fitting:
            memory = min(fitting, key=len)
            self._pieces += [piece for piece in unused if piece[0] is not memory]
        else:  # what is too small once would only pile up
            del unused
            memory = mmap.mmap(-1, needed)
        array = Watched(shape, np.float32, memory)
        self._pieces.append((memory, weakref.ref(array)))
        return array.view(np.ndarray)
