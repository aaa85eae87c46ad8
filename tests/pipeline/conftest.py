"""The scratch book that pipeline tests start from."""

from pathlib import Path

import pytest
from pipeline.minibook import MiniBook, make_book


@pytest.fixture
def mini(tmp_path: Path) -> MiniBook:
    return make_book(tmp_path / "book")
