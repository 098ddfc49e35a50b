"""The notebooks of examples/: how they are run, and how the outputs that they keep are renewed.

`python tests/notebooks.py` (`make notebooks`) runs them all and keeps what they print and draw.
"""

import os
import tempfile
from pathlib import Path
from unittest import mock

# without it, importing jupyter_core is a warning, and warnings are errors here
os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
_FOLDERS = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")


def execute(
    path: Path, folder: Path, sizes: dict[str, str] | None = None, **environment: str | None
) -> NotebookNode:
    """Run a notebook in a folder that takes whatever it and Jupyter write.

    Parameters
    ----------
    path
        The notebook; it is left as it is.
    folder
        Where it runs.
    sizes
        What stands in its code, and what to run in its place: smaller sizes.
    environment
        What it finds in its environment, beside what is there; None is nothing.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        A cell raises.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for size, smaller in (sizes or {}).items():
            cell.source = cell.source.replace(size, smaller)
    own = dict.fromkeys(_FOLDERS, str(folder / ".jupyter"))
    checks = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # a warning of the debugger's, on each start
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
        record_timing=False,
    )
    there = own | checks | {"PYTHONPATH": str(ROOT)} | environment
    with mock.patch.dict(os.environ, {k: v for k, v in there.items() if v is not None}):
        for name in (name for name, value in there.items() if value is None):
            os.environ.pop(name, None)
        client.execute()
    for cell in notebook.cells:
        cell.metadata.clear()
    notebook.metadata.language_info = {"name": "python"}  # else a version that differs by machine
    return notebook


def main() -> None:
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(execute(path, Path(folder)), path)


if __name__ == "__main__":
    main()
