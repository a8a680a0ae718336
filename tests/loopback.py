"""A server on loopback for tests of downloads."""

import contextlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from gpemsr.data import download


class Site:
    """A server that can be told to cut connections, ignore ranges or fail; it notes what was asked."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.requests: list[tuple[str, str | None]] = []
        self.ranges, self.cut_after, self.failures = True, [], []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name, wanted = unquote(self.path).rsplit("/", 1)[-1], self.headers.get("Range")
                site.requests.append((name, wanted))
                if site.failures:
                    return self.send_error(site.failures.pop(0))
                if name not in site.files:
                    return self.send_error(404)
                content, start = site.files[name], 0
                if wanted and site.ranges:
                    start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
                    if start >= len(content):
                        self.send_response(416)
                        self.send_header("Content-Range", f"bytes */{len(content)}")
                        self.send_header("Content-Length", "0")
                        return self.end_headers()
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                end = start + site.cut_after.pop(0) if site.cut_after else len(content)
                self.wfile.write(content[start:end])

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/static/data/"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def ranges_asked(self):
        return [wanted for _, wanted in self.requests]


@contextlib.contextmanager
def served(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site with files; nothing waits before it tries again."""
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    site = Site(files)
    yield site
    site.server.shutdown()
    site.server.server_close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
