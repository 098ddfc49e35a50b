"""files: a file is the old one or the new one, whatever happens while it is written."""

import errno
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from foreshock.files import locked, sync_folder, write_atomic


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def fail_to_sync(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fsync(descriptor: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for data in (b"", b"old", b"new and longer"):
        write_atomic(path, data)
        assert path.read_bytes() == data
        assert names_in(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_a_failed_writing_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, b"old")
    fail_to_sync(monkeypatch, error)
    with pytest.raises(type(error)):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.json"]


def test_a_failed_writing_of_a_new_file_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_sync(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        write_atomic(tmp_path / "a.json", b"new")
    assert names_in(tmp_path) == []


def test_a_file_too_large_for_the_disk_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, b"old")
    program = "import sys; from pathlib import Path; from foreshock.files import write_atomic\n"
    program += "write_atomic(Path(sys.argv[1]), b'x' * 10000)"
    done = subprocess.run(
        [sys.executable, "-c", program, path],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
    )
    assert done.stderr.strip().endswith("OSError: [Errno 27] File too large")
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.json"]


def test_a_folder_in_the_way_is_an_error_and_stays(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomic(tmp_path / "a", b"new")
    assert names_in(tmp_path) == ["a"]


def test_what_a_killed_writing_left_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / ".a.json.01234567.tmp").write_bytes(b"half")
    write_atomic(tmp_path / "a.json", b"whole")
    assert (tmp_path / "a.json").read_bytes() == b"whole"


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomic(link, b"new")
    assert target.read_bytes() == b"old"
    assert link.read_bytes() == b"new" and not link.is_symlink()


def test_a_file_has_the_permissions_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path, contents = tmp_path / "a", {b"x" * 300_000, b"y" * 200_000}
    write_atomic(path, min(contents))
    done = threading.Event()
    seen: list[bytes] = []

    def read() -> None:
        while not done.is_set():
            seen.append(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        for data in contents:
            write_atomic(path, data)
    done.set()
    reader.join()
    assert set(seen) <= contents


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path: Path) -> None:
    sync_folder(tmp_path / "missing")


def test_a_folder_that_another_process_works_in_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with locked(file):
        refused = pytest.raises(BlockingIOError, match="another process is at work in")
        with refused, locked(file):
            pass
    with locked(file):  # free again
        pass
