"""What the chapters of *Small Models, Sharp Bounds* import: small, typed, tested.

Import the submodule that you need (`from sharpbook.claims import claim, ledger`). Nothing is re-exported here, because
the build re-executes a chapter only when a module that it imports has changed.
"""

__version__ = "0.1.0"
