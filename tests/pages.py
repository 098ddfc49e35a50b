"""The pages of the documentation, and how what they show is run; for tests only."""

import re
import shlex
from pathlib import Path

from foreshock.cli.app import run

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_SMALL = shlex.split("--model.filters 16 32 16 --model.random-features 500")
"""Options of a page's trainings that name no filters; at full size they take most of the tests."""


def run_blocks(text: str, namespace: dict[str, object], title: str = "page") -> None:
    """Run the blocks of Python and of commands in their order, in one namespace."""
    for language, block in re.findall(r"^```(python|console)\n(.*?)^```", text, re.M | re.S):
        if language == "python":
            exec(compile(block, title, "exec"), namespace)
            continue
        for line in block.replace("\\\n", " ").splitlines():
            prompt, program, *words = shlex.split(line, comments=True)
            assert prompt == "$", line
            if program == "make":  # what runs this test, or trains for a minute
                assert f"\n{words[0]}:" in (ROOT / "Makefile").read_text()
            else:
                if words[0] in ("train", "benchmark") and "--model.filters" not in words:
                    words += _SMALL
                assert (program, run(words)) == ("foreshock", 0), line


def without_blocks(text: str) -> str:
    """Leave out what stands in fences and in `code`."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
