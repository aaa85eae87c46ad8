"""Child processes that end when they should: with a time limit, as a whole tree, and together with their parent."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
              "VECLIB_MAXIMUM_THREADS")


def clean_environment(lib: Path) -> dict[str, str]:
    """The environment chapters run in: one BLAS thread, fixed hashing, this environment's kernel, no user site."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    env.update({name: "1" for name in ONE_THREAD})
    env.update(
        JUPYTER_PREFER_ENV_PATH="1",
        PYTHONHASHSEED="0",
        PYTHONNOUSERSITE="1",
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONPATH=str(lib),
        # Jupyter's switch to platformdirs is announced on stderr by every process that does not set this.
        JUPYTER_PLATFORM_DIRS="1",
        PYDEVD_DISABLE_FILE_VALIDATION="1",
        # A start-up file of the person who builds is not part of the chapter.
        IPYTHONDIR=str(lib.parent / "_build" / "tmp" / "ipython"),
    )
    return env


def kill_tree(pid: int, *, itself: bool = True) -> None:
    """SIGKILL a process and all its descendants. Kernels lead sessions of their own, so a group is not enough."""
    import psutil

    try:
        top = psutil.Process(pid)
        tree = top.children(recursive=True)
    except psutil.NoSuchProcess:
        return
    if itself:
        tree.insert(0, top)
    for process in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def die_with_parent() -> None:
    """Watch the parent from a thread; when it is gone, end this process and everything that it started.

    A build killed with SIGKILL cannot clean up after itself, and a kernel left behind would go on computing.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.25)
        kill_tree(os.getpid(), itself=False)
        os._exit(113)

    threading.Thread(target=watch, daemon=True, name="die-with-parent").start()


@dataclass(frozen=True)
class Outcome:
    """How a child ended; `seconds` is wall time."""

    code: int
    timed_out: bool
    seconds: float
    output: str


def run(args: list[str], *, lib: Path, cwd: Path, time_limit_s: float, log: Path) -> Outcome:
    """Run `python args...` in its own process group, its output in `log`; kill the whole tree past the limit."""
    started = time.monotonic()
    with log.open("wb") as out:
        child = subprocess.Popen([sys.executable, *args], cwd=cwd, env=clean_environment(lib), stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        timed_out = False
        try:
            child.wait(timeout=time_limit_s)
        except subprocess.TimeoutExpired:
            timed_out = True
            kill_tree(child.pid)
            child.wait()
        except BaseException:
            kill_tree(child.pid)
            child.wait()
            raise
    seconds = time.monotonic() - started
    return Outcome(child.returncode, timed_out, seconds, log.read_text(encoding="utf-8", errors="replace"))
