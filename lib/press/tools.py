"""`make test` and `make lab`: other people's programs, started the way this book needs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from press.children import ONE_THREAD
from press.layout import Layout, write_text

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_LAB_SETTINGS = {
    "@jupyterlab/docmanager-extension/plugin.jupyterlab-settings":
        '{"defaultViewers": {"markdown": "Jupytext Notebook", "myst": "Jupytext Notebook"}}\n',
    # Otherwise the first thing a student sees is a question about news.
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings":
        '{"fetchNews": "false", "checkForUpdates": false}\n',
}


def chromium() -> str | None:
    """The browser that the browser tests drive, or None."""
    return next((found for found in map(shutil.which, _CHROMIUM) if found), None)


def test(layout: Layout, rest: list[str]) -> int:
    """pytest without the slow tests; browser tests when there is a browser, else one line that says how."""
    env = {**os.environ, "PYTHONNOUSERSITE": "1", "JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_PLATFORM_DIRS": "1"}
    env.update({name: "1" for name in ONE_THREAD})
    marks, missing = ["not slow"], ""
    if chromium() is None:
        missing = ("browser tests left out: there is no Chromium; on Debian or Ubuntu, apt install chromium, "
                   "elsewhere install it under that name, then make test again")
    if missing:
        marks.append("not browser")
    given = [word for word in rest if word != "--"]
    chosen = [] if any(word == "-m" or word.startswith("-m=") for word in given) else ["-m", " and ".join(marks)]
    code = subprocess.run([sys.executable, "-m", "pytest", "-q", *chosen, *given], cwd=layout.root, env=env).returncode
    if missing:
        print(missing)
    return code


def lab(layout: Layout, rest: list[str]) -> int:
    """JupyterLab on `chapters/`, with chapters opening as notebooks at a click."""
    settings = layout.build / "lab" / "settings"
    for name, text in _LAB_SETTINGS.items():
        write_text(settings / name, text)
    env = {**os.environ, "PYTHONNOUSERSITE": "1", "JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_PLATFORM_DIRS": "1",
           "PYTHONPATH": str(layout.lib.resolve()), "JUPYTERLAB_SETTINGS_DIR": str(settings.resolve())}
    command = [sys.executable, "-m", "jupyterlab", "--ServerApp.root_dir", str(layout.root.resolve()),
               "--LabApp.default_url", "/lab/tree/chapters",
               # In a container one is often root, and the server listens on this machine only.
               *(["--allow-root"] if hasattr(os, "getuid") and os.getuid() == 0 else []),
               *[word for word in rest if word != "--"]]
    try:
        return subprocess.run(command, cwd=Path(layout.root), env=env).returncode
    except KeyboardInterrupt:
        return 0
