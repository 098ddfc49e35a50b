"""archive: names found near by, downloads from a real server, hostile archives."""

import io
import json
import shutil
import stat
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from foreshock.problems import archive

TS = (
    "@problemName {name}\n@timeStamps false\n@univariate true\n@equalLength true\n"
    "@classLabel true a b\n@data\n1,2,3:a\n3,2,1:b\n"
)


def packed(*members: tuple[str | zipfile.ZipInfo, str | bytes], name: str = "Tiny") -> bytes:
    """A zip of the two files of a problem and more members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for part in ("TRAIN", "TEST"):
            file.writestr(f"{name}_{part}.ts", TS.format(name=name))
        for member, content in members:
            file.writestr(member, content)
    return buffer.getvalue()


class Server:
    """An archive on 127.0.0.1 that answers each path with what a test puts there."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[str] = []
        self.endless = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                status, headers, body = server.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)
                try:
                    while server.endless:
                        self.wfile.write(body)
                except OSError:
                    pass  # the client has had enough

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def serve(self, name: str, body: bytes, status: int = 200, **headers: str) -> None:
        headers = {"Content-Type": "application/zip", **headers}
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        self.answers[f"/{name}.zip"] = (status, headers, body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    monkeypatch.setenv("FORESHOCK_ARCHIVE_URL", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.endless = False
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORESHOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FORESHOCK_DATA", raising=False)
    return tmp_path / "cache"


def refusal(name: str = "Tiny") -> str:
    with pytest.raises((archive.ArchiveError, archive.DownloadError)) as caught:
        archive.find(name)
    return str(caught.value)


def assert_nothing_kept(cache: Path) -> None:
    assert not cache.exists() or not list(cache.iterdir())


def test_bundled_classification_problems_need_neither_network_nor_aeon_s_import(
    cache: Path,
) -> None:
    names = archive.available()
    assert names["GunPoint"] == "bundled"
    assert names["BasicMotions"] == "bundled"
    assert not {"UnitTest", "Covid3Month", "CardanoSentiment"} & set(names)


@pytest.mark.parametrize("layout", ["ucr/GunPoint", "GunPoint"])
def test_one_s_own_folder_comes_before_the_bundled_problems(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    folder = tmp_path / "data" / layout
    folder.mkdir(parents=True)
    (folder / "GunPoint_TRAIN.ts").write_text(TS.format(name="GunPoint"))
    monkeypatch.setenv("FORESHOCK_DATA", str(tmp_path / "data"))
    assert archive.find("GunPoint") == folder
    assert archive.available()["GunPoint"] == "FORESHOCK_DATA"


def test_a_folder_of_data_that_is_not_there_is_an_error(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESHOCK_DATA", "/nowhere")
    with pytest.raises(ValueError, match="FORESHOCK_DATA is '/nowhere', which is not a folder"):
        archive.available()


def test_a_download_is_kept_and_asked_for_once(server: Server, cache: Path) -> None:
    server.serve("Tiny", packed(("Tiny.txt", "about")))
    folder = archive.find("Tiny")
    assert folder == cache / "Tiny"
    assert sorted(f.name for f in folder.iterdir()) == ["Tiny_TEST.ts", "Tiny_TRAIN.ts"]
    assert archive.find("Tiny") == folder
    assert server.asked == ["/Tiny.zip"]
    assert archive.available()["Tiny"] == "cache"
    assert list(json.loads((cache / "checksums.json").read_text())) == ["Tiny"]
    assert sorted(f.name for f in cache.iterdir()) == ["Tiny", "checksums.json"]


def test_a_second_download_of_another_content_is_refused_and_says_how_to_accept_it(
    server: Server, cache: Path
) -> None:
    server.serve("Tiny", packed())
    folder = archive.find("Tiny")
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    server.serve("Tiny", packed(("more.txt", "changed")))
    text = refusal()
    assert "its checksum is not that of the first download" in text
    assert f"delete the entry Tiny in {cache / 'checksums.json'}" in text
    assert not folder.exists()
    (cache / "checksums.json").write_text("{}")
    assert archive.find("Tiny") == folder


def test_damaged_checksums_are_reported(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "checksums.json").write_text("[")
    server.serve("Tiny", packed())
    assert "checksums.json is damaged; delete it to start again" in refusal()


def test_every_failure_names_the_bundled_problems_and_the_manual_way(
    server: Server, cache: Path
) -> None:
    text = refusal()
    assert text.startswith(f"cannot download Tiny from {server.url}/Tiny.zip: ")
    assert "Without a network these load: ACSF1, ArrowHead, BasicMotions" in text
    assert "put Tiny_TRAIN.ts and Tiny_TEST.ts into FOLDER/ucr/Tiny" in text
    assert "set FORESHOCK_DATA=FOLDER." in text


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"body": b"", "status": 404}, "the server answered 404"),
        ({"body": b"", "status": 500}, "the server answered 500"),
        ({"body": b""}, "the download is empty"),
        ({"body": b"<html>", "Content_Type": "text/html"}, "answered with a web page"),
        ({"body": b"<html>not a zip</html>"}, "the download is not a valid zip file"),
        ({"body": packed()[:100], "Content_Length": "1000"}, "the download broke off"),
        ({"body": packed()[:200]}, "the download is not a valid zip file"),
    ],
)
def test_a_bad_answer_is_an_error_and_leaves_nothing(
    server: Server, cache: Path, answer: dict[str, object], reason: str
) -> None:
    server.serve("Tiny", **answer)
    assert reason in refusal()
    assert_nothing_kept(cache)


def test_an_endless_answer_is_cut_off(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_DOWNLOAD", 2**20)
    server.endless = True
    server.serve("Tiny", b"x" * 65536)
    assert "the download exceeds 1,048,576 bytes" in refusal()
    assert_nothing_kept(cache)


def test_a_slow_answer_is_cut_off(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_SECONDS", 0.0)
    server.serve("Tiny", packed())
    assert "the download exceeds" in refusal()


def test_no_server_is_an_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("FORESHOCK_ARCHIVE_URL", "http://127.0.0.1:1")
    assert "the connection failed (ConnectionError)" in refusal()


def test_a_cache_that_cannot_be_written_is_an_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FORESHOCK_CACHE", str(tmp_path / "file"))
    assert f"FORESHOCK_CACHE moves the cache, {tmp_path / 'file'}" in refusal()


def linked() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("link")
    member.create_system = 3
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


def forged(at: int, byte: int) -> bytes:
    """A zip with another byte in the directory's entry of its first file."""
    body = bytearray(packed())
    body[body.find(b"PK\x01\x02") + at] = byte
    return bytes(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (packed(("/etc/passwd", "x")), "outside its folder, '/etc/passwd'"),
        (packed(("../up.ts", "x")), "outside its folder, '../up.ts'"),
        (packed(("a/../../up.ts", "x")), "outside its folder, 'a/../../up.ts'"),
        (packed(("C:/up.ts", "x")), "outside its folder, 'C:/up.ts'"),
        (packed(("..\\up.ts", "x")), "outside its folder"),
        (packed((linked(), "/etc/passwd")), "a link or device, 'link'"),
        (packed(("README", "x"), ("readme", "y")), "two members 'readme'"),
        (packed(*((f"{i}.txt", "") for i in range(1000))), "1002 members, expected at most 1000"),
        (packed(("sub/Tiny_TRAIN.ts", "x")), "has 2 files Tiny_TRAIN.ts, expected one"),
        (packed(name="Other"), "has 0 files Tiny_TRAIN.ts, expected one"),
        (forged(8, 1), "encrypted at 'Tiny_TRAIN.ts'"),
        (forged(24, 9), "not a valid zip file (Bad CRC-32 for file 'Tiny_TRAIN.ts')"),  # its size
    ],
)
def test_a_hostile_archive_is_refused_and_leaves_nothing(
    server: Server, cache: Path, body: bytes, reason: str
) -> None:
    server.serve("Tiny", body)
    assert reason in refusal()
    assert_nothing_kept(cache)


def test_a_bomb_is_stopped_by_its_ratio(server: Server, cache: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("Tiny_TRAIN.ts", b"0" * 2**24)
    server.serve("Tiny", buffer.getvalue())
    assert "is too large when unpacked, at 'Tiny_TRAIN.ts'" in refusal()
    assert_nothing_kept(cache)


def test_a_bomb_is_stopped_by_its_size(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED", 200)
    server.serve("Tiny", packed())
    assert "is too large when unpacked, at 'Tiny_TEST.ts'" in refusal()
    assert_nothing_kept(cache)


def test_a_misspelt_name_is_corrected_without_asking_the_network(
    server: Server, cache: Path
) -> None:
    assert "the archive has no gunpiont; did you mean GunPoint" in refusal("gunpiont")
    assert server.asked == []


@pytest.mark.parametrize("name", ["../GunPoint", "a/b", "GunPoint.zip", "", "a b", "é"])
def test_a_name_that_could_be_a_path_is_refused(server: Server, cache: Path, name: str) -> None:
    assert "an archive name has only letters, digits, _ and -" in refusal(name)
    with pytest.raises(ValueError, match="only letters"):
        archive.download(name)
    assert server.asked == []


def test_what_is_kept_has_the_permissions_of_the_umask(
    server: Server, cache: Path, mode: Callable[[Path], bool]
) -> None:
    server.serve("Tiny", packed())
    archive.download("Tiny")
    assert mode(cache)


def test_the_cache_and_what_is_in_it_may_be_links(
    server: Server, cache: Path, tmp_path: Path
) -> None:
    cache.symlink_to("far/cache")
    (tmp_path / "elsewhere").mkdir()
    server.serve("Tiny", packed())
    archive.download("Tiny")
    shutil.rmtree(cache / "Tiny")
    (cache / "Tiny").symlink_to(tmp_path / "elsewhere")
    folder = archive.download("Tiny")
    assert cache.is_symlink() and folder.is_symlink()
    assert (tmp_path / "elsewhere" / "Tiny_TRAIN.ts").is_file()


def test_a_file_where_the_cache_is_to_be_is_named(server: Server, cache: Path) -> None:
    cache.write_text("mine")
    server.serve("Tiny", packed())
    assert f"cannot create the folder {cache}: there is a file of that name" in refusal()
    assert cache.read_text() == "mine"


def test_another_process_may_have_been_faster(server: Server, cache: Path) -> None:
    (cache / "Tiny").mkdir(parents=True)
    (cache / "Tiny" / "Tiny_TRAIN.ts").write_text("theirs")
    server.serve("Tiny", packed())
    assert (archive.download("Tiny") / "Tiny_TRAIN.ts").read_text() == "theirs"


def test_a_missing_extra_is_named(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert "run pip install 'foreshock[archive]'" in refusal()
