"""The HTML theme `press`: a book page with contents at the left and notes in the margin at the right."""

from __future__ import annotations

from pathlib import Path


def setup(app) -> dict:
    app.add_html_theme("press", str(Path(__file__).parent))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
