"""Runs inside the child process that executes or re-executes one chapter.

`python -m press.worker execute JOB` and `... validate JOB`, where JOB is a JSON file that `press.execute` or
`press.validate` wrote. Kept apart so that the time limit can end everything that is heavy: papermill, nbval, kernels.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

from press.children import die_with_parent

CHANGED = 75


def execute(job: dict) -> int:
    """Write `code.ipynb` and run papermill on it; the notebook, whole or partial, and `worker.json` are left behind."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines

    from press import chapters, keys, layout, notebooks

    where = layout.Layout(Path(job["root"]))
    folder = Path(job["folder"])
    chapter = chapters.load(where, Path(job["path"]))
    if keys.execution_key(chapter, keys.Sources(where), job["overrides"]) != job["key"]:
        return CHANGED
    layout.write_text(folder / "code.ipynb", notebooks.dump(notebooks.code_only(chapter)))
    report: dict = {"signal": None, "kernel_died": False}

    class Client(PapermillNotebookClient):
        def papermill_execute_cells(self):
            try:
                super().papermill_execute_cells()
            except DeadKernelError:
                process = getattr(self.km.provisioner, "process", None)
                report.update(kernel_died=True, exit_code=process.poll() if process else None)
                raise

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, start_timeout=60, execution_timeout=None, **kwargs):
            return Client(nb_man, kernel_name=kernel_name, startup_timeout=start_timeout, timeout=execution_timeout,
                          stdout_file=None, stderr_file=None).execute()

    papermill_engines.register("press", Engine)
    started = time.monotonic()
    code = 0
    try:
        papermill.execute_notebook(folder / "code.ipynb", folder / "papermill.ipynb", parameters=job["overrides"],
                                   engine_name="press", progress_bar=False, cwd=job["cwd"], autosave_cell_every=0)
    except papermill.PapermillExecutionError as error:
        code = 1
        report.update(ename=error.ename, evalue=error.evalue)
    except DeadKernelError:
        code = 1
    report["seconds"] = time.monotonic() - started
    # Children of this process are kernels and nothing else, so this is what the kernel used.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report["cpu_s"] = used.ru_utime + used.ru_stime
    report["peak_mb"] = used.ru_maxrss / (1024 * (1 if _LINUX else 1024))
    layout.write_json(folder / "worker.json", report)
    return code


_LINUX = sys.platform.startswith("linux")


def validate(job: dict) -> int:
    """Run nbval, strictly, on the notebook; the verdict per cell is left in `junit.xml`."""
    # Only nbval: the project's other plugins and options have no business in a chapter's validation.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    import pytest

    return int(pytest.main([
        "--nbval", "--nbval-current-env", f"--nbval-cell-timeout={job['cell_timeout_s']}",
        "-c", job["empty_config"], "--rootdir", job["cwd"], "-p", "nbval.plugin", "-p", "no:cacheprovider",
        "--color=no", "-q", f"--junit-xml={job['junit']}", job["notebook"],
    ]))


def main() -> int:
    die_with_parent()
    verb, path = sys.argv[1:]
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    return {"execute": execute, "validate": validate}[verb](job)


if __name__ == "__main__":
    sys.exit(main())
