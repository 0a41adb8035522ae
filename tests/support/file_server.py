"""A web server of one folder, which knows nothing of ranges, and what `fetch` refuses."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from datastill.sources import download


class Handler(SimpleHTTPRequestHandler):
    """Sends files and records their paths."""

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def web(tmp_path, monkeypatch):
    """A server of the folder `root` at `url`; `asked` lists the paths it was asked for."""
    monkeypatch.setattr(download, "_PAUSES", (0, 0))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "web"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=root))
    server.asked, server.root = [], root
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def refuse(result, *parts):
    """Expect exit 1 and one message with all of `parts`."""
    code, _, errors = result
    assert code == 1
    assert errors.count("datastill: ") == 1
    assert "Traceback" not in errors
    for part in parts:
        assert part in errors.splitlines()[-1]
