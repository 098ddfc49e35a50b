"""How many megabytes a user downloads: foreshock without extras; what an exported model needs.

Resolves with pip for this machine and this Python, as if nothing were installed, and adds up the
files that pip would fetch. What torch needs for itself is named apart: whoever wants this library
has or wants that. `python benchmarks/download.py [--constraint constraints.txt]`
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BARS = {"foreshock": 90, "onnx": 60}
"""Megabytes (of 10^6 bytes) that neither may pass."""


def pip(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def resolve(constraint: list[str], *requirements: str) -> dict[str, str]:
    """Return the versions by name that pip would install; only their metadata is fetched."""
    report = json.loads(
        pip("install", "--dry-run", "--ignore-installed", "--report=-", *constraint, *requirements)
    )
    found = (package["metadata"] for package in report["install"])
    return {package["name"].lower().replace("_", "-"): package["version"] for package in found}


def sizes(packages: dict[str, str], folder: str) -> dict[str, int]:
    """Fetch the packages and give the bytes of each file."""
    pip("download", "--no-deps", f"--dest={folder}", *(f"{n}=={v}" for n, v in packages.items()))
    return {path.name: path.stat().st_size for path in Path(folder).iterdir()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--constraint", default=None, help="a file that pins versions")
    given = parser.parse_args().constraint
    over = False
    with tempfile.TemporaryDirectory() as folder:
        pin = Path(folder) / "torch.txt"  # another torch brings gigabytes of CUDA
        pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        pin.write_text(next(line for line in pins if line.startswith("torch==")), encoding="utf-8")
        constraint = [f"--constraint={file}" for file in (given, pin) if file is not None]
        torch = resolve(constraint, "torch")
        ours = resolve(constraint, str(ROOT))
        beyond = {n: v for n, v in ours.items() if n not in torch and n != "foreshock"}
        for what, packages in (
            ("foreshock", beyond),
            ("onnx", resolve(constraint, "numpy", "onnxruntime")),
        ):
            files = sizes(packages, f"{folder}/{what}")
            for name, size in sorted(files.items(), key=lambda item: -item[1]):
                print(f"{size / 1e6:8.2f} MB  {name}")
            total = sum(files.values()) / 1e6
            over |= total > BARS[what]
            print(f"{total:8.2f} MB  {what}: {len(files)} files, under {BARS[what]} MB asked\n")
    sys.exit(over)


if __name__ == "__main__":
    main()
