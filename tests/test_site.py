"""The documentation as a site: built without a warning, whole, loading nothing from elsewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from pages import ROOT

import foreshock


class Page(HTMLParser):
    """What a page loads, what it links to, and which anchors it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors.add(values.get("id") or "")
        if tag == "link" and values.get("rel") in ("index", "search", "next", "prev"):
            tag = "a"
        targets = [values.get(name) for name in ("href", "src", "srcset", "poster", "data")]
        (self.links if tag == "a" else self.loads).extend(filter(None, targets))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "-q", "-E"]
    done = subprocess.run(
        [*command, "-d", folder / "trees", "-c", "docs", ".", folder / "html"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {path: Page(path) for path in (folder / "html").rglob("*.html")}


def local(page: Path, link: str) -> tuple[Path, str]:
    parts = urlsplit(link)
    return (page.parent / unquote(parts.path)).resolve() if parts.path else page, parts.fragment


def test_every_page_is_built(site):
    built = {path.stem for path in site}
    assert {path.stem for path in (ROOT / "docs").rglob("*.md")} <= built
    assert {"README", "CHANGELOG"} <= built


def test_every_public_name_has_an_entry_with_a_text(site):
    (api,) = [path for path in site if path.name == "api.html"]
    text = api.read_text()
    for name in foreshock.__all__:
        assert f"foreshock.{name}" in site[api].anchors
        entry = text.split(f'id="foreshock.{name}"')[1]
        assert re.match(r".*?</dt>\s*<dd>\s*<p>\w", entry, re.S), name


def test_a_field_has_an_entry_whatever_its_default(site):
    (api,) = [path for path in site if path.name == "api.html"]
    for field in ("Problem.X", "Problem.group", "FitConfig.epochs", "EventRule.lead"):
        assert f"foreshock.{field}" in site[api].anchors


def test_every_link_and_anchor_within_the_site_leads_somewhere(site):
    for path, page in site.items():
        for link in page.links:
            if urlsplit(link).scheme:
                continue
            there, anchor = local(path, link)
            assert there.exists(), (path.name, link)
            if anchor and there in site:
                assert unquote(anchor) in site[there].anchors, (path.name, link)


def test_nothing_is_loaded_from_the_network(site):
    for path, page in site.items():
        for link in page.loads:
            assert link.startswith("data:") or local(path, link)[0].exists(), (path.name, link)
    for style in next(path for path in site if path.name == "README.html").parent.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(https?:)?//|@import", style.read_text()), style.name
