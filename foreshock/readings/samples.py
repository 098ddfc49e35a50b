"""Real logs that come with the package, by name: to try a command before one's own data."""

from pathlib import Path

_FOLDER = Path(__file__).parent / "logs"
_ENDING = ".csv.gz"


def sample_logs() -> tuple[str, ...]:
    """Return the names of the logs; beside each stands its license."""
    return tuple(sorted(path.name.removesuffix(_ENDING) for path in _FOLDER.glob(f"*{_ENDING}")))


def find_sample(name: str | Path) -> Path | None:
    """Return the file of the log of that name, unless something of the user's is called so."""
    if Path(name).exists() or str(name) not in sample_logs():
        return None
    return _FOLDER / f"{name}{_ENDING}"
