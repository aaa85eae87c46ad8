"""One build at a time: a lock that the operating system releases, however the build ends."""

from __future__ import annotations

import datetime
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from press.layout import Layout
from press.problems import Problem


@contextmanager
def build_lock(layout: Layout, *, wait: bool = True) -> Iterator[IO[str]]:
    """Hold `_build/.lock`. A second build says who holds it and waits; with `wait=False` it raises Problem.

    Yields the open file: a child that inherits it keeps the lock even when this process is killed alone.
    """
    layout.build.mkdir(parents=True, exist_ok=True)
    with (layout.build / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another build"
            if not wait:
                raise Problem(f"{holder} is running here; try again when it has finished") from None
            print(f"{holder} is running here; waiting for it to finish", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(f"another build (process {os.getpid()}, since {datetime.datetime.now():%H:%M:%S})")
        file.flush()
        yield file
