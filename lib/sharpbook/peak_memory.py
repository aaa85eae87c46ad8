"""Exact peak memory of PyTorch code, counted storage by storage."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakMem(TorchDispatchMode):
    """Counts the bytes of the tensor storages that come into being inside the block, and subtracts those freed.

    Attributes
    ----------
    live : bytes created inside that are alive now.
    peak : largest value of `live` so far.
    timeline : value of `live` after each change, if asked for with `timeline=True`; else None.

    A storage counts once and in full, however many tensors view it. What existed before the block, such as parameters,
    is not counted; activations and gradients that arise inside are. Not seen: memory that one operation takes and
    returns within itself, and tensors that share memory with a NumPy array.

    No profiler, no allocator statistics: the count follows from the operations alone, so it is the same on each machine
    with the same version of PyTorch.

    Examples
    --------
    >>> with PeakMem() as memory:
    ...     x = torch.zeros(1000)
    ...     y = x.view(10, 100) * 2
    ...     del x
    >>> memory.peak, memory.live
    (8000, 4000)
    """

    def __init__(self, timeline: bool = False) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self.timeline: list[int] | None = [] if timeline else None
        self._bytes: dict[int, int | None] = {}  # address of a storage -> its size; None if it existed before

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        # `torch.tensor(data)` reaches us as a lift of the tensor that it has just made: new, although an argument.
        if func is not torch.ops.aten.lift_fresh.default:
            for storage in _storages((args, kwargs)):
                if storage._cdata not in self._bytes:
                    self._watch(storage, None)
        out = func(*args, **kwargs)
        for storage in _storages((out, args, kwargs)):
            if storage._cdata not in self._bytes:
                self._watch(storage, storage.nbytes())
                self._change(storage.nbytes())
                continue
            known = self._bytes[storage._cdata]
            if known is not None and known != storage.nbytes():
                self._bytes[storage._cdata] = storage.nbytes()
                self._change(storage.nbytes() - known)
        return out

    def _watch(self, storage: torch.UntypedStorage, size: int | None) -> None:
        self._bytes[storage._cdata] = size
        weakref.finalize(storage, self._release, storage._cdata).atexit = False

    def _release(self, address: int) -> None:
        size = self._bytes.pop(address)
        if size:
            self._change(-size)

    def _change(self, amount: int) -> None:
        self.live += amount
        self.peak = max(self.peak, self.live)
        if self.timeline is not None:
            self.timeline.append(self.live)


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
