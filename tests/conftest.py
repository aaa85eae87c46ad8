"""Being here puts this folder on the import path: tests share `book.py`."""
