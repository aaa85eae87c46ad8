"""`make serve`: the built site on this machine, compressed and cached as a good host would serve it."""

from __future__ import annotations

import errno
import gzip
import mimetypes
import sys
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from press.layout import Layout
from press.problems import Problem

_TEXT = {".html", ".css", ".js", ".json", ".svg", ".txt", ".xml", ".ipynb", ".webmanifest", ".map"}
_TYPES = {".js": "text/javascript", ".ipynb": "application/x-ipynb+json", ".woff2": "font/woff2",
          ".webmanifest": "application/manifest+json"}
# A day for what does not change between two builds, or carries its version in the address; pages are always asked anew.
_LASTING = {".woff2", ".png", ".ico"}


@lru_cache(maxsize=256)
def _compressed(path: Path, modified_ns: int) -> bytes:
    return gzip.compress(path.read_bytes(), compresslevel=6)


def find(site: Path, address: str) -> Path | None:
    """The file below `site` that `address` names, or None; never one outside."""
    relative = unquote(urlsplit(address).path).lstrip("/")
    if "\0" in relative:
        return None
    path = (site / relative).resolve()
    if not path.is_relative_to(site.resolve()):
        return None
    if path.is_dir():
        path = path / "index.html"
    return path if path.is_file() else None


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD of files below `site`, gzipped when they are text and the browser says that it can."""

    protocol_version = "HTTP/1.1"
    site: Path

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        status, path = HTTPStatus.OK, find(self.site, self.path)
        if path is None:
            status, path = HTTPStatus.NOT_FOUND, find(self.site, "/404.html")
        kind, headers, content = "text/plain", {}, b"not found\n"
        if path is not None:
            stat = path.stat()
            kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
            lasting = path.suffix in _LASTING or "v=" in urlsplit(self.path).query
            headers = {"ETag": tag, "Cache-Control": "public, max-age=86400" if lasting else "no-cache"}
            if status is HTTPStatus.OK and self.headers.get("If-None-Match") == tag:
                self._send(HTTPStatus.NOT_MODIFIED, headers, b"", body=False)
                return
            if path.suffix in _TEXT and "gzip" in self.headers.get("Accept-Encoding", ""):
                content = _compressed(path, stat.st_mtime_ns)
                headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            else:
                content = path.read_bytes()
        if kind.startswith("text/") or kind.endswith(("json", "xml")):
            kind += "; charset=utf-8"
        self._send(status, {"Content-Type": kind, **headers}, content, body=body)

    def _send(self, status: HTTPStatus, headers: dict[str, str], content: bytes, *, body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        if len(args) > 1 and str(args[1]).startswith(("4", "5")):
            sys.stderr.write(f"{args[0]} -> {args[1]}\n")


def server(site: Path, port: int) -> ThreadingHTTPServer:
    """A server on 127.0.0.1, not yet running; port 0 picks a free one."""
    handler = type("SiteHandler", (Handler,), {"site": site})
    made = ThreadingHTTPServer(("127.0.0.1", port), handler)
    made.daemon_threads = True
    return made


def serve(layout: Layout, port: str) -> int:
    """Serve `_build/html` until interrupted. Raises Problem without a site, or for a port that cannot be had."""
    if not port.isdigit() or not 1 <= int(port) <= 65535:
        raise Problem(f"PORT={port} is not a port; use a number from 1 to 65535 such as PORT=8000")
    if not (layout.html / "index.html").exists():
        raise Problem("there is no site yet: make book")
    try:
        made = server(layout.html, int(port))
    except OSError as error:
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise Problem(f"port {port} {why}; choose another: make serve PORT={min(int(port) + 1, 65535)}") from None
    with made:
        print(f"http://127.0.0.1:{port}/  (Ctrl-C ends)", flush=True)
        try:
            made.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0
