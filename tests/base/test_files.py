"""files: a file is the old one or the new one, whatever happens while it is written."""

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from foreshock import _files
from foreshock._files import (
    check_new,
    followed,
    is_empty,
    locked,
    make_folder,
    new_folder,
    sync_folder,
    write_atomic,
)


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
    program = "import sys; from pathlib import Path; from foreshock._files import write_atomic\n"
    program += "write_atomic(Path(sys.argv[1]), b'x' * 10000)"
    done = subprocess.run(
        [sys.executable, "-c", program, path],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
    )
    assert done.stderr.strip().endswith(f"OSError: [Errno 27] File too large: '{path}'")
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


def test_a_folder_that_is_empty_is_filled_and_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o750)
    (tmp_path / "link").symlink_to("empty")
    with new_folder(tmp_path / "link") as folder:
        (folder / "a").write_bytes(b"")
    assert names_in(tmp_path / "empty") == ["a"]
    assert (tmp_path / "empty").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "link").is_symlink()
    with pytest.raises(OSError, match="not empty"), new_folder(tmp_path / "link"):
        pass
    assert names_in(tmp_path / "empty") == ["a"]


def test_a_folder_may_be_named_by_way_of_one_that_is_not_there(tmp_path: Path) -> None:
    with new_folder(tmp_path / "none" / ".." / "new"):
        pass
    assert names_in(tmp_path) == ["new"]


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="No space left on device") as caught,
        new_folder(tmp_path / "new"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "new")
    assert names_in(tmp_path) == []


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomic(link, b"new")
    assert target.read_bytes() == b"old"
    assert link.read_bytes() == b"new" and not link.is_symlink()


@pytest.mark.parametrize("exists", [False, True])
def test_a_link_to_a_file_that_may_be_made_is_followed_and_stays(
    tmp_path: Path, exists: bool
) -> None:
    target = tmp_path / "far" / "target"
    target.parent.mkdir()
    (tmp_path / "link").symlink_to("other")
    (tmp_path / "other").symlink_to(target)
    if exists:
        target.write_bytes(b"mine")
        with pytest.raises(FileExistsError, match="/link exists already and is never overwritten"):
            write_atomic(tmp_path / "link", b"new", new=True)
    else:
        check_new(tmp_path / "link")
        write_atomic(tmp_path / "link", b"new", new=True)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "other").is_symlink()
    assert target.read_bytes() == (b"mine" if exists else b"new")
    assert names_in(target.parent) == ["target"]


def test_a_link_that_leads_nowhere_is_named_as_the_user_does(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "link").symlink_to("none/file")
    for do in (check_new, followed, lambda path: write_atomic(path, b"", new=True)):
        with pytest.raises(OSError, match=r"Too many levels of symbolic links: '.*/circle'"):
            do(tmp_path / "circle")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*/none; make it first\."):
        check_new(tmp_path / "link")
    assert sorted(names_in(tmp_path)) == ["circle", "link"]


def test_a_folder_is_made_where_a_link_points(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("far/away")
    make_folder(tmp_path / "link" / "in")
    make_folder(tmp_path / "link" / "in")
    assert (tmp_path / "far" / "away" / "in").is_dir()
    (tmp_path / "file").touch()
    (tmp_path / "new").symlink_to("file")
    for name in ("file", "file/in", "new"):
        with pytest.raises(
            FileExistsError, match=f"cannot create the folder .*/{name}: there is a fi"
        ):
            make_folder(tmp_path / name)


def test_a_new_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    with new_folder(tmp_path / "link") as folder:
        write_atomic(folder / "a", b"new")
        assert not (tmp_path / "link").exists()
    assert names_in(tmp_path / "target") == ["a"] and (tmp_path / "link").is_symlink()

    def fail(folder: Path) -> None:
        (folder / "a").touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"), new_folder(tmp_path / "b") as folder:
        fail(folder)
    assert sorted(names_in(tmp_path)) == ["link", "target"]


def test_an_empty_folder_is_no_file_and_has_none(tmp_path: Path) -> None:
    assert is_empty(tmp_path)
    (tmp_path / "file").touch()
    assert not any(map(is_empty, (tmp_path, tmp_path / "file", tmp_path / "none")))


@pytest.mark.parametrize("name", ["n" * 255, "ø" * 127, "a b", "a\nb", os.fsdecode(b"caf\xe9")])
def test_a_file_and_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    for folder in (tmp_path / "files", tmp_path / "folders"):
        folder.mkdir()
    write_atomic(tmp_path / "files" / name, b"new", new=True)
    write_atomic(tmp_path / "files" / name, b"newer")
    with new_folder(tmp_path / "folders" / name):
        pass
    assert names_in(tmp_path / "files") == names_in(tmp_path / "folders") == [name]


def test_an_error_names_the_file_as_the_user_does(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    too_long = "n" * 256
    for path in (tmp_path / "file" / "a", tmp_path / "none" / "a", tmp_path / too_long):
        for new in (False, True):
            with pytest.raises(OSError, match=r"directory|too long") as caught:
                write_atomic(path, b"", new=new)
            assert caught.value.filename == str(path)
        with pytest.raises(OSError, match=r"directory|too long") as caught, new_folder(path):
            pass
        assert caught.value.filename == str(path)
    assert names_in(tmp_path) == ["file"]


def test_files_and_folders_have_the_permissions_that_the_umask_gives(
    tmp_path: Path, mode: Callable[[Path], bool]
) -> None:
    write_atomic(tmp_path / "a", b"")
    write_atomic(tmp_path / "b", b"", new=True)
    with new_folder(tmp_path / "c") as folder:
        write_atomic(folder / "a", b"")
    make_folder(tmp_path / "d" / "e")
    assert all(mode(tmp_path / name) for name in "abcd")


def test_a_folder_in_one_that_hands_its_group_on_hands_it_on(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    with new_folder(tmp_path / "a"):
        pass
    assert (tmp_path / "a").stat().st_mode & 0o2000


def test_only_this_module_makes_what_stays() -> None:
    """What tempfile makes is for its owner alone, and chmod is not the user's umask."""
    sources = Path(_files.__file__).parent.rglob("*.py")
    found = {
        (path.name, name)
        for path in sources
        for name in ("mkdtemp", "mkstemp", "NamedTemporaryFile", "chmod", ".mkdir(")
        if name in path.read_text(encoding="utf-8")
    }
    # an empty folder's permissions are kept; the checkpoint's folder is in the run
    assert found == {("_files.py", ".mkdir("), ("_files.py", "chmod"), ("run.py", ".mkdir(")}


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
        refused = pytest.raises(BlockingIOError, match="another process is using")
        with refused, locked(file):
            pass
    with locked(file):  # free again
        pass
