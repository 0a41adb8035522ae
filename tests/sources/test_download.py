import hashlib
import random
import stat
import struct
import threading
import zipfile
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from datastill.errors import DataError
from datastill.sources import download as archives
from datastill.sources.download import Archive, bytes_there, download, safe_members, unpack, verify

CONTENT = random.Random(0).randbytes(300_000)  # several chunks


class Handler(BaseHTTPRequestHandler):
    """Sends a file, or what is asked of it, or misbehaves as its `web` says."""

    def do_GET(self):
        web, content = self.server.web, self.server.web.content
        web.asked.append(dict(self.headers))
        if web.statuses:
            return self.answer(web.statuses.pop(0), b"", {"Location": web.location})
        wanted, tag = self.headers.get("Range"), f'"{hashlib.md5(content).hexdigest()}"'
        same = web.careless or self.headers.get("If-Range", tag) == tag
        headers = {"ETag": tag} if web.tags else {}
        if not (wanted and same and web.ranges):
            return self.answer(200, content, headers)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) + web.shift
        if start >= len(content):
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self.answer(206, content[start:], headers)

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.server.web.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cuts = self.server.web.cuts
        sent = body[: cuts.pop(0)] if cuts else body
        self.server.web.sent.append(len(sent))
        with suppress(ConnectionError):  # of a client that was killed
            self.wfile.write(sent)

    def log_message(self, *arguments):
        pass


class Web:
    """What the server has, how it behaves, and what it was asked and sent."""

    def __init__(self, url):
        self.url, self.content, self.location = url, CONTENT, ""
        self.ranges = self.tags = self.lengths = True
        self.careless, self.shift = False, 0  # about If-Range; of the place asked for
        self.cuts, self.statuses, self.asked, self.sent = [], [], [], []

    @property
    def archive(self):
        return Archive(f"{self.url}/a.zip", len(CONTENT), f"md5:{hashlib.md5(CONTENT).hexdigest()}")


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(archives, "_PAUSES", (0, 0, 0))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.web = Web(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.web
    server.shutdown()
    server.server_close()


def ignore(done):
    pass


class Killed(BaseException):
    pass


def kill_after(count):
    calls = iter(range(count))

    def progress(done):
        if next(calls, None) is None:
            raise Killed

    return progress


def killed_download(web, folder):
    with pytest.raises(Killed):
        download(web.archive, folder, kill_after(2))
    return (folder / "a.zip.partial").stat().st_size


def test_download_says_how_far_it_is_and_leaves_nothing_but_the_file(web, tmp_path):
    told = []
    file = download(web.archive, tmp_path, told.append)
    assert file.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [file]
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, len(CONTENT))


def test_a_file_that_is_there_is_not_asked_for(web, tmp_path):
    (tmp_path / "a.zip").write_bytes(CONTENT)
    download(web.archive, tmp_path, ignore)
    assert web.asked == []


@pytest.mark.parametrize(
    ("lengths", "start"), [(True, 200_000 // 2**16 * 2**16), (False, 200_000)]
)  # an answer that says its length loses the chunk under way
def test_of_a_cut_transfer_only_the_missing_bytes_are_sent_again(web, tmp_path, lengths, start):
    web.lengths, web.cuts = lengths, [200_000]
    assert download(web.archive, tmp_path, ignore).read_bytes() == CONTENT
    assert [asked.get("Range") for asked in web.asked] == [None, f"bytes={start}-"]
    assert web.sent == [200_000, len(CONTENT) - start]


def test_a_killed_download_is_gone_on_with_if_the_file_is_the_same(web, tmp_path):
    size = killed_download(web, tmp_path)
    assert bytes_there(web.archive, tmp_path) == size > 0
    told = []
    assert download(web.archive, tmp_path, told.append).read_bytes() == CONTENT
    assert web.asked[1]["Range"] == f"bytes={size}-"
    assert web.asked[1]["If-Range"].strip('"') == hashlib.md5(CONTENT).hexdigest()
    assert (told[0], web.sent[1]) == (size, len(CONTENT) - size)


@pytest.mark.parametrize("careless", [False, True])
def test_a_file_that_changed_on_the_server_is_downloaded_from_its_start(web, tmp_path, careless):
    killed_download(web, tmp_path)
    web.content, web.careless = CONTENT[::-1], careless
    assert download(web.archive, tmp_path, ignore).read_bytes() == CONTENT[::-1]


def test_a_part_is_not_continued_from_another_place(web, tmp_path):
    killed_download(web, tmp_path)
    web.shift = -1
    assert download(web.archive, tmp_path, ignore).read_bytes() == CONTENT


def test_no_more_is_written_than_the_file_has(web, tmp_path):
    web.lengths, web.content = False, CONTENT + b"x"
    assert download(web.archive, tmp_path, ignore).read_bytes() == CONTENT


def test_a_server_without_ranges_is_asked_for_all_again(web, tmp_path):
    killed_download(web, tmp_path)
    web.ranges = False
    assert download(web.archive, tmp_path, ignore).read_bytes() == CONTENT


@pytest.mark.parametrize("lengths", [False, True])
def test_a_server_without_tags_is_trusted_to_have_the_same_file(web, tmp_path, lengths):
    web.tags, web.lengths = False, lengths
    size = killed_download(web, tmp_path)
    assert download(web.archive, tmp_path, ignore).read_bytes() == CONTENT
    assert "If-Range" not in web.asked[1]
    assert web.sent[1] == len(CONTENT) - size


def test_a_busy_server_is_asked_again(web, tmp_path):
    web.statuses = [503, 429]
    assert download(web.archive, tmp_path, ignore).read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [False, True])
def test_tries_that_bring_nothing_new_end_with_what_was_expected_and_found(web, tmp_path, ranges):
    web.ranges, web.cuts = ranges, [100_000, *[0] * 50]
    message = f"a.zip: expected {len(CONTENT)} bytes, received (65536|0): .*run again"
    with pytest.raises(DataError, match=message):
        download(web.archive, tmp_path, ignore)
    assert len(web.asked) == 1 + 3
    web.cuts = []
    assert download(web.archive, tmp_path, ignore).read_bytes() == CONTENT


def test_tries_are_counted_anew_once_more_bytes_have_come(web, tmp_path):
    web.cuts = [70_000] * 4  # one more than there are pauses
    assert download(web.archive, tmp_path, ignore).read_bytes() == CONTENT
    assert len(web.asked) == 5


def test_a_missing_file_is_an_error_at_once(web, tmp_path):
    web.statuses = [404]
    with pytest.raises(DataError, match=r"a\.zip: expected a file, found HTTP status 404"):
        download(web.archive, tmp_path, ignore)
    assert len(web.asked) == 1


@pytest.mark.parametrize("content", [CONTENT[:1000], CONTENT + b"x"])
def test_a_file_of_another_size_on_the_server_is_an_error(web, tmp_path, content):
    web.content = content
    found = f"expected {len(CONTENT)} bytes, the server has {len(content)}"
    with pytest.raises(DataError, match=found):
        download(web.archive, tmp_path, ignore)
    killed = tmp_path / "a.zip.partial"
    killed.write_bytes(CONTENT[:2000])
    with pytest.raises(DataError, match=found):
        download(web.archive, tmp_path, ignore)


def test_a_part_longer_than_the_file_is_not_gone_on_with(web, tmp_path):
    (tmp_path / "a.zip.partial").write_bytes(CONTENT + b"x")
    assert download(web.archive, tmp_path, ignore).read_bytes() == CONTENT


def test_a_file_of_another_size_on_the_disk_is_left_to_the_user(web, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"mine")
    with pytest.raises(DataError, match=rf"expected {len(CONTENT)} bytes, found 4; remove it"):
        download(web.archive, tmp_path, ignore)
    assert (tmp_path / "a.zip").read_bytes() == b"mine"


def test_only_http_is_spoken_and_no_redirect_leaves_it(web, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    web.statuses, web.location = [302], secret.as_uri()
    for url in (web.archive.url, secret.as_uri(), "nowhere/a.zip", "http://[/a.zip"):
        with pytest.raises(DataError, match="cannot be downloaded:"):
            download(Archive(url, len(CONTENT), web.archive.digest), tmp_path / "to", ignore)
    assert not (tmp_path / "to").exists()


def test_a_wrong_digest_sets_the_file_aside_and_the_next_run_starts_over(web, tmp_path):
    web.content = CONTENT[::-1]
    file = download(web.archive, tmp_path, ignore)
    with pytest.raises(DataError, match=r"expected md5 \w+, found \w+; it is now a\.zip\.bad"):
        verify(web.archive, file, ignore)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip.bad"]
    web.content = CONTENT
    verify(web.archive, download(web.archive, tmp_path, ignore), ignore)
    assert "Range" not in web.asked[-1]


def write_zip(path, content, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as target:
        for name, text in content.items():
            target.writestr(name, text)
    return path


PHOTOS = {"photos/": "", **{f"photos/{i}.jpg": CONTENT[i : i + 1000] for i in range(5)}}


def photos(folder):
    return {f"photos/{path.name}": path.read_bytes() for path in (folder / "photos").iterdir()}


def without_folders(content):
    return {name: text for name, text in content.items() if not name.endswith("/")}


def test_unpack_writes_every_member_and_says_how_far_it_is(tmp_path):
    file, told = write_zip(tmp_path / "a.zip", PHOTOS), []
    unpack(file, safe_members(file), tmp_path / "to", told.append)
    assert photos(tmp_path / "to") == without_folders(PHOTOS)
    assert told == [0, 1000, 2000, 3000, 4000, 5000]


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("name", "danger"),
    [
        ("../evil", "a path out of its folder"),
        ("photos/../../evil", "a path out of its folder"),
        ("photos\\..\\..\\evil", "a path out of its folder"),
        ("/tmp/evil", "an absolute path"),
        ("\\\\host\\share\\evil", "an absolute path"),
        ("C:evil", "an absolute path"),
        ("photos\\evil", "not a portable path"),
        (link("photos/evil"), "neither a file nor a folder"),
        ("photos/0.jpg", "not the only one of its name"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_unsafe_member_is_named_and_nothing_at_all_is_unpacked(tmp_path, name, danger):
    file = write_zip(tmp_path / "a.zip", PHOTOS)
    with zipfile.ZipFile(file, "a") as target:
        target.writestr(name, "/etc")
    shown = repr(getattr(name, "filename", name))
    with pytest.raises(DataError) as error:
        safe_members(file)
    assert f"{file}: member {shown} is {danger}; nothing" in str(error.value)
    assert list(tmp_path.iterdir()) == [file]


def test_a_killed_unpacking_is_gone_on_with(tmp_path):
    file, to = write_zip(tmp_path / "a.zip", PHOTOS), tmp_path / "to"
    with pytest.raises(Killed):
        unpack(file, safe_members(file), to, kill_after(3))
    assert len(photos(to)) == 3
    before = {path: path.stat().st_mtime_ns for path in (to / "photos").iterdir()}
    (to / "photos" / "4.jpg.partial").write_text("killed midway")
    unpack(file, safe_members(file), to, ignore)
    assert photos(to) == without_folders(PHOTOS)
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("content", [b"mine", bytes(1000)])
def test_a_file_of_other_content_is_not_overwritten(tmp_path, content):
    mine = tmp_path / "photos" / "2.jpg"
    mine.parent.mkdir()
    mine.write_bytes(content)
    file = write_zip(tmp_path / "a.zip", PHOTOS)
    with pytest.raises(DataError, match=r"2\.jpg: differs from .*a\.zip; move it away"):
        unpack(file, safe_members(file), tmp_path, ignore)
    assert mine.read_bytes() == content


def patched(file: Path, old: bytes, new: bytes) -> Path:
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new))
    return file


@pytest.mark.parametrize("declared", [10, 10**6 + 1])
def test_a_member_of_another_size_than_it_declares_is_not_kept(tmp_path, declared):
    file = write_zip(tmp_path / "a.zip", {"bomb": bytes(10**6)})
    (bomb,) = safe_members(file)
    sizes = struct.pack("<LL", bomb.compress_size, bomb.file_size)
    patched(file, sizes, struct.pack("<LL", bomb.compress_size, declared))
    with pytest.raises(DataError, match=r"member 'bomb' is damaged: .*a\.zip\.bad: run again"):
        unpack(file, safe_members(file), tmp_path / "to", ignore)
    assert list((tmp_path / "to").iterdir()) == []


def test_a_damaged_member_sets_the_archive_aside(tmp_path):
    file = write_zip(tmp_path / "a.zip", {"a": b"what was packed"}, zipfile.ZIP_STORED)
    patched(file, b"what was packed", b"what was hacked")
    with pytest.raises(DataError, match=r"member 'a' is damaged: Bad CRC-32"):
        unpack(file, safe_members(file), tmp_path / "to", ignore)
    assert (tmp_path / "a.zip.bad").exists()
    assert list((tmp_path / "to").iterdir()) == []


def test_what_is_no_zip_or_packed_in_a_rare_way_is_an_error(tmp_path):
    (tmp_path / "a.zip").write_bytes(CONTENT)
    with pytest.raises(DataError, match="expected a zip archive, found none"):
        safe_members(tmp_path / "a.zip")
    file = write_zip(tmp_path / "b.zip", {"b": "b"}, zipfile.ZIP_BZIP2)
    with pytest.raises(DataError, match="member 'b' is neither stored nor deflated"):
        safe_members(file)
