"""Lighthouse (mobile defaults) on pages of the built site: medians of several runs.

    python benchmarks/lighthouse/run.py [--runs 5] [--site _build/html] [page ...]

Installs Lighthouse from the lock file beside this script at the first call. Needs Chromium. One run of Lighthouse is
noise, so the medians count, on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import http.server
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lib"))

from press import assets  # noqa: E402

HERE = Path(__file__).parent
PAGES = ("index.html", "chapters/step-sizes/cyclical-learning-rates.html", "ledger.html", "how-to-read.html")
METRICS = {
    "FCP s": ("first-contentful-paint", 1000),
    "LCP s": ("largest-contentful-paint", 1000),
    "TBT ms": ("total-blocking-time", 1),
    "CLS": ("cumulative-layout-shift", 1),
    "KiB": ("total-byte-weight", 1024),
}


class Compressed(http.server.SimpleHTTPRequestHandler):
    """A plain server that compresses text, as every web host does."""

    def log_message(self, *arguments) -> None:
        pass

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.suffix not in {".html", ".css", ".js", ".svg"} or not path.is_file():
            return super().do_GET()
        body = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None


def lighthouse() -> Path:
    """Folder with Lighthouse installed, under `_build/cache`."""
    home = ROOT / "_build" / "cache" / "lighthouse"
    if not (home / "node_modules" / "lighthouse").is_dir():
        home.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, home / name)
        assets.npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=home).check_returncode()
    return home


def measure(url: str, home: Path, runs: int) -> dict[str, float]:
    """Median scores and metrics over `runs` runs, and the accessibility audits that failed."""
    environment = os.environ | {"CHROME_PATH": shutil.which("chromium") or shutil.which("google-chrome") or ""}
    flags = "--headless=new --no-sandbox --disable-gpu --disable-background-networking --no-first-run"
    command = [str(assets.node_binary()), str(home / "node_modules/lighthouse/cli/index.js"), url]
    command += ["--output=json", "--output-path=stdout", "--quiet", f"--chrome-flags={flags}"]
    found: list[dict[str, float]] = []
    for _ in range(runs):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise SystemExit(f"lighthouse: {done.stderr.strip()[-500:]}")
        report = json.loads(done.stdout)
        row = {name: round(100 * c["score"]) for name, c in report["categories"].items()}
        row |= {k: report["audits"][a]["numericValue"] / scale for k, (a, scale) in METRICS.items()}
        row["requests"] = len(report["audits"]["network-requests"]["details"]["items"])
        found.append(row)
        failed = [a for a, r in report["audits"].items() if r.get("score") == 0 and r["scoreDisplayMode"] == "binary"]
    for audit in failed:
        print(f"  audit failed: {audit}")
    return {key: statistics.median(row[key] for row in found) for key in found[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--site", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("pages", nargs="*", default=PAGES)
    chosen = parser.parse_args()
    handler = functools.partial(Compressed, directory=str(chosen.site.resolve()))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = lighthouse()
    for page in chosen.pages:
        print(page)
        medians = measure(f"http://127.0.0.1:{server.server_port}/{page}", home, chosen.runs)
        print("  " + ", ".join(f"{k} {v:.3g}" for k, v in medians.items()), flush=True)


if __name__ == "__main__":
    main()
