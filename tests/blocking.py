"""Programs that run as if a package were not installed."""


def without(package: str) -> str:
    """Return the beginning of a program that finds every package but one."""
    return f"""
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, *where):
        found = name.partition(".")[0] != {package!r}
        return PathFinder.find_spec(name, *where) if found else None

sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""
