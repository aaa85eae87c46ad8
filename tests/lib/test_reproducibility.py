import doctest
import random
import subprocess
import sys

import numpy as np
import pytest
from sharpbook import reproducibility
from sharpbook.reproducibility import seed_everything


def test_docstring_examples():
    assert doctest.testmod(reproducibility).failed == 0


@pytest.fixture(autouse=True)
def restore_torch():
    import torch

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def draws():
    import torch

    return random.random(), np.random.rand(), torch.rand(()).item()


def test_all_sources_repeat():
    first = seed_everything(7, torch=True).normal(size=3), draws()
    again = seed_everything(7, torch=True).normal(size=3), draws()
    other = seed_everything(8, torch=True).normal(size=3), draws()
    assert np.array_equal(first[0], again[0]) and first[1] == again[1]
    assert not np.array_equal(first[0], other[0])
    assert all(a != b for a, b in zip(first[1], other[1], strict=True))


def test_generator_is_numpys_own_and_takes_a_numpy_seed():
    assert seed_everything(np.int64(3)).integers(1000) == np.random.default_rng(3).integers(1000)
    assert seed_everything(3).integers(1000) == np.random.default_rng(3).integers(1000)


def test_torch_is_deterministic_with_one_thread():
    import torch

    seed_everything(0, torch=True)
    assert torch.are_deterministic_algorithms_enabled() and torch.get_num_threads() == 1


def test_does_not_import_torch_unless_asked():
    code = "import sys, sharpbook.reproducibility as r; r.seed_everything(0); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range(seed):
    with pytest.raises(ValueError, match="from 0 to"):
        seed_everything(seed)
