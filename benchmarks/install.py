"""Build the wheel, install it into a clean environment, and go from a catalogue to a report there.

With `pinned` it takes the versions of constraints.txt, with `lowest` the lowest that pyproject.toml
allows of whatever it names (torch stays the pinned one). Needs a package index.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMALL = "--fit.epochs 2 --model.filters 8 8 8 --model.cells 4 --model.random-features 100"
FLOW = f"""
simulate -o catalog.csv --years 6 --seed 1
cut catalog.csv -o problem.npz --rule.window 48 --rule.quiet 48 --rule.event-above 4.5
    --rule.calm-below 3.5 --rule.min-active 1
train problem.npz --run run --fit.precision float32 --no-scan {SMALL}
predict run catalog.csv
report run
doctor problem.npz
"""
"""Commands, as a user gives them."""


def lowest() -> list[str]:
    """Return the lowest versions that pyproject.toml allows, and the pinned torch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = [*project["dependencies"], *(r for e in extras if e != "dev" for r in extras[e])]
    found = (re.match(r"([\w-]+)>=([\d.]+)", requirement) for requirement in named)
    pins = {match[1]: f"{match[1]}=={match[2]}" for match in found if match}
    pins["torch"] = next(line for line in pinned() if line.startswith("torch=="))
    return list(pins.values())


def pinned() -> list[str]:
    return (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("versions", choices=["pinned", "lowest"])
    versions = lowest() if parser.parse_args().versions == "lowest" else pinned()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="foreshock-install-") as work:
        folder = Path(work)
        constraint = folder / "versions.txt"
        constraint.write_text("\n".join(versions), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        pip = [scripts / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], cwd=folder, check=True
        )
        (wheel,) = folder.glob("foreshock-*.whl")
        subprocess.run([*pip, "install", "-c", constraint, f"{wheel}[all]"], check=True)
        print(f"installed after {time.monotonic() - started:.0f} seconds", flush=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        for line in FLOW.replace("\n    ", " ").strip().splitlines():
            print(f"$ foreshock {line}", flush=True)
            subprocess.run(
                [scripts / "foreshock", *line.split()], cwd=folder, env=environment, check=True
            )
        subprocess.run([*pip, "check"], check=True)
    print(f"done after {time.monotonic() - started:.0f} seconds")


if __name__ == "__main__":
    main()
