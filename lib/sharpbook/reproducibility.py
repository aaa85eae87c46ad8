"""One call that makes a chapter's randomness repeatable."""

from __future__ import annotations

import importlib.util
import operator
import os
import random
import sys
from typing import SupportsIndex

import numpy as np


def seed_everything(seed: SupportsIndex, *, torch: bool | None = None) -> np.random.Generator:
    """Seed Python, NumPy and PyTorch, and return the generator a chapter should draw from.

    Parameters
    ----------
    seed : integer in [0, 2**32), the range NumPy's legacy generator accepts.
    torch : True imports PyTorch and seeds it; False leaves it alone; None (default) seeds it only if it has been
        imported already, so that a chapter without networks does not pay for the import.

    With PyTorch, deterministic algorithms are switched on (an operation without one then raises instead of giving
    another number on each run) and it computes with one thread, because the order of a parallel sum is not fixed.

    Returns
    -------
    `numpy.random.default_rng(seed)`, independent of the legacy global state that is seeded beside it.

    Raises
    ------
    ValueError : seed outside its range.
    ModuleNotFoundError : torch=True and PyTorch is not installed.

    Examples
    --------
    >>> bool(seed_everything(0).normal() == seed_everything(0).normal())
    True
    """
    seed = operator.index(seed)
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}; it must be an integer from 0 to 2**32 - 1")
    random.seed(seed)
    np.random.seed(seed)
    if torch is None:
        torch = "torch" in sys.modules
    if torch:
        _seed_torch(seed)
    return np.random.default_rng(seed)


def _seed_torch(seed: int) -> None:
    if importlib.util.find_spec("torch") is None:
        raise ModuleNotFoundError("seed_everything(torch=True) needs PyTorch: pip install torch")
    # cuBLAS reads this once, when its first handle is made; without it deterministic mode refuses matrix products.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
