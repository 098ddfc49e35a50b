"""The report in a real browser: it opens, asks nobody for anything, and fits phones and paper."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from runfolders import make_run, publish

from foreshock import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
    # it is Playwright that leaves the transport to its driver open where a test fails
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PAGES = ["one", "many", "bare", "hostile", "several", "problems"]
HOSTILE = "<script>document.title='owned'</script>" + "W" * 300


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind."""
    base = tmp_path_factory.mktemp("pages")
    words = tuple(f"word {k}" for k in range(60))
    one = make_run(base / "one")
    many = make_run(base / "many", classes=words, channels=tuple("abcdef"), n_test=900, event=False)
    bare = make_run(
        base / "bare", members=1, event=False, test=False, held_out=False, explained=False,
        finder=False,
    )  # fmt: skip
    hostile = make_run(
        base / "hostile", name=HOSTILE, classes=(HOSTILE, "b"), channels=(HOSTILE, "c"),
        source=HOSTILE,
    )  # fmt: skip
    seeds = [make_run(base / f"seed-{'x' * 60}-{k}", seed=k, event=False) for k in range(3)]
    names = [f"Problem{k}" for k in range(5)]
    problems = [
        make_run(base / name, name=name, digest=str(k) * 64, event=False)
        for k, name in enumerate(names)
    ]
    methods = ["FCN", "ResNet", "InceptionTime", "ROCKET", "MR-Hydra", "HC2", "1NN-DTW"]
    values = {m: [0.7 + 0.03 * i + 0.01 * k for k in range(5)] for i, m in enumerate(methods)}
    published = publish(base, names, values)
    made = {"one": one, "many": many, "bare": bare, "hostile": hostile}
    return {name: write_report(run) for name, run in made.items()} | {
        "several": write_report(seeds, output=base / "several.html"),
        "problems": write_report(problems, output=base / "problems.html", published=published),
    }


class Watched:
    """A page that is opened, with everything that it said or asked for."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("requestfailed", lambda request: self.said.append(request.url))
        self.page.on("dialog", lambda dialog: self.said.append("a dialog"))
        self.page.route("**/*", self._route)
        self.address = path.as_uri()
        self.page.goto(self.address)

    def _route(self, route: Any) -> None:
        self.asked.append(route.request.url)
        route.continue_() if route.request.url == self.address else route.abort()

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *_: object) -> None:
        self.page.wait_for_timeout(50)
        self.context.close()
        assert self.said == [] and self.asked == [self.address]


def style(page: Any, element: str, name: str) -> str:
    """Return a style as the browser has computed it."""
    code = "([e, n]) => getComputedStyle(document.querySelector(e))[n]"
    return str(page.evaluate(code, [element, name]))


@pytest.fixture(scope="module")
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """The pages, opened once, for tests that only look at them."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(Watched(browser, path)) for name, path in pages.items()}


def faults(page: Any, script: str, width: int = 1280, scheme: str = "light") -> Any:
    """Return what a function finds wrong with a page."""
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    return page.evaluate(script, width)


def test_a_page_that_asks_for_something_would_be_caught(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text('<title>a</title><img src="https://example.com/a.png">')
    watched = Watched(browser, path)
    watched.page.wait_for_timeout(200)
    watched.context.close()
    assert watched.said and watched.asked != [watched.address]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_without_a_word_or_a_request(
    browser: Any, pages: dict[str, Path], name: str
) -> None:
    with Watched(browser, pages[name], color_scheme="light") as page:
        assert page.title().endswith(": foreshock report")
        assert style(page, "body", "backgroundColor") == "rgb(255, 255, 255)"
        page.mouse.wheel(0, 5000)
        page.emulate_media(color_scheme="dark")
        assert style(page, "body", "backgroundColor") == "rgb(21, 24, 27)"


@pytest.mark.parametrize("name", PAGES)
def test_the_style_is_let_in_by_the_policy(opened: dict[str, Any], name: str) -> None:
    assert style(opened[name], "h1", "fontSize") == "32px"
    assert style(opened[name], "table", "borderCollapse") == "collapse"


@pytest.mark.parametrize("width", [320, 360, 768])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out_of_a_phone(opened: dict[str, Any], name: str, width: int) -> None:
    script = """width =>
      [...document.querySelectorAll('h1,h2,h3,p,dd,dt,figure,li,summary,.scroll')]
      .filter(e => e.getBoundingClientRect().right > width + 1).map(e => e.outerHTML)
      .concat(document.documentElement.scrollWidth > width ? ['the page'] : [])"""
    assert faults(opened[name], script, width) == []


@pytest.mark.parametrize("name", PAGES)
def test_the_text_of_a_picture_stays_within_it(opened: dict[str, Any], name: str) -> None:
    script = """() => [...document.querySelectorAll('svg.chart')].flatMap(svg => {
      const box = svg.getBoundingClientRect();
      return [...svg.querySelectorAll('text')].filter(text => {
        const it = text.getBoundingClientRect();
        return it.left < box.left - 2 || it.right > box.right + 2
          || it.top < box.top - 3 || it.bottom > box.bottom + 3;
      }).map(text => text.textContent);
    })"""
    assert faults(opened[name], script) == []


@pytest.mark.parametrize("name", PAGES)
def test_the_texts_of_a_picture_do_not_cover_each_other(opened: dict[str, Any], name: str) -> None:
    script = """() => [...document.querySelectorAll('svg.chart')].flatMap(svg => {
      const all = [...svg.querySelectorAll('text')].filter(t => t.textContent.trim())
        .map(t => [t.textContent, t.getBoundingClientRect()]);
      return all.flatMap(([a, p], i) => all.slice(i + 1)
        .filter(([b, q]) => Math.min(p.right, q.right) - Math.max(p.left, q.left) > 3
          && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 5)
        .map(([b]) => a + ' / ' + b));
    })"""
    assert faults(opened[name], script) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_text_can_be_read(opened: dict[str, Any], name: str, scheme: str) -> None:
    script = """() => {
      const numbers = color => color.match(/[\\d.]+/g).map(Number);
      const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
      const ground = element => {
        const layers = [];
        for (let e = element; e; e = e.parentElement)
          layers.push(numbers(getComputedStyle(e).backgroundColor));
        return layers.reverse().reduce((under, [r, g, b, a = 1]) =>
          [r, g, b].map((c, k) => a * c + (1 - a) * under[k]), [255, 255, 255]);
      };
      return [...document.querySelectorAll('h1,h2,h3,p,td,th,dt,dd,small,li,a,figcaption,'
        + 'caption,summary,pre,svg.chart text')].filter(e => e.textContent.trim())
        .map(e => {
        const style = getComputedStyle(e);
        const color = e.tagName === 'text' ? style.fill : style.color;
        const [a, b] = [light(numbers(color)), light(ground(e))].sort((x, y) => y - x);
        return [e.textContent, (a + 0.05) / (b + 0.05)];
      }).filter(([, ratio]) => ratio < 4.5);
    }"""
    assert faults(opened[name], script, scheme=scheme) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_printed_on_paper(browser: Any, pages: dict[str, Path], name: str) -> None:
    with Watched(browser, pages[name], color_scheme="dark") as page:
        pdf = page.pdf(format="A4")
        assert pdf.startswith(b"%PDF-") and len(re.findall(rb"/Type\s*/Page\b", pdf)) < 20
        page.emulate_media(media="print")
        assert style(page, "body", "backgroundColor") == "rgb(255, 255, 255)"
        assert style(page, "h1", "color") == "rgb(0, 0, 0)"
        assert not page.evaluate(
            "[...document.querySelectorAll('nav')].some(e => e.getClientRects().length)"
        )


def test_a_page_needs_no_javascript(browser: Any, pages: dict[str, Path]) -> None:
    with Watched(browser, pages["one"], java_script_enabled=False) as page:
        page.get_by_text("Every option (config.json)").click()
        assert page.get_by_text('"epochs": 20').is_visible()
        page.get_by_role("link", name="Calibration").click()
        assert page.url.endswith("#calibration")


def test_a_page_is_read_aloud_in_its_order(browser: Any, pages: dict[str, Path]) -> None:
    with Watched(browser, pages["one"]) as page:
        assert page.get_by_role("heading", level=1).count() == 1
        assert page.get_by_role("heading", level=2).first.inner_text() == "Scores"
        pictures = page.get_by_role("img")
        assert pictures.count() == 18
        assert "AUROC 0.792" in (pictures.nth(2).get_attribute("aria-label") or "")
        assert page.get_by_role("table", name="Test cases by class").count() == 1
        assert page.get_by_role("navigation", name="Sections").count() == 1


def test_a_name_that_is_a_script_is_not_run(browser: Any, pages: dict[str, Path]) -> None:
    with Watched(browser, pages["hostile"]) as page:
        assert page.title().startswith("<script>document.title='owned'</script>WWW")
        assert page.evaluate("document.scripts.length") == 0
