"""The site of the documentation is whole: it names all that is public, and every link in it holds."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer

from ptychonyx.cli import app
from ptychonyx.runtime import ReconstructionOptions, SimulationOptions, SolvingOptions
from ptychonyx.training import TrainingConfig
from ptychonyx.training.config.solver import SolverConfig

ROOT = Path(__file__).parents[1]
PARTS = ("runtime", "export", "training")
PUBLIC = (*PARTS, "runtime/stitching")
"""Packages whose `__init__` names what is public."""
SETTINGS = (TrainingConfig, SolverConfig, ReconstructionOptions, SolvingOptions, SimulationOptions)
FRAMEWORKS = ("tensorflow", "torch")

pytestmark = [
    pytest.mark.skipif(not find_spec("mkdocs"), reason="mkdocs is not installed"),
    pytest.mark.timeout(300),
]


@dataclass
class Page(HTMLParser):
    """What a page names, and where it leads."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given["id"]} if "id" in given else set()
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in ("script", "link", "img", "iframe"):
            self.loaded += [given[name] for name in ("src", "href") if name in given]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does, where no framework can be imported."""
    folder = tmp_path_factory.mktemp("site")
    for name in FRAMEWORKS:
        (folder / f"{name}.py").write_text("raise ImportError('the site needs no framework')\n")
    paths = [folder, *(ROOT / part for part in PARTS)]
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(folder / "site")],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    found = {}
    for path in sorted(site.rglob("*.html")):
        page = found[path] = Page()
        page.feed(path.read_text())
    return found


def public_names(package: str) -> Iterator[str]:
    """Find `import name as name`: what a package re-exports on purpose."""
    part = package.split("/")[0]
    tree = ast.parse((ROOT / part / "ptychonyx" / package / "__init__.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for name in node.names:
                if name.name == name.asname:
                    yield f"ptychonyx.{package.replace('/', '.')}.{name.name}"


def error_names() -> Iterator[str]:
    path = ROOT / "runtime" / "ptychonyx" / "runtime" / "errors.py"
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            yield f"ptychonyx.runtime.errors.{node.name}"


def test_every_public_name_has_an_entry(pages: dict[Path, Page], site: Path) -> None:
    entries = set[str]().union(
        *(
            page.ids
            for path, page in pages.items()
            if path.is_relative_to(site / "reference" / "api")
        )
    )
    names = {name for package in PUBLIC for name in public_names(package)} | set(error_names())
    rooms = {"ptychonyx.runtime.errors", "ptychonyx.runtime.stitching"}  # pages of their own
    assert len(names) > 60
    assert not names - entries - rooms


def test_every_command_and_its_options_have_an_entry(site: Path) -> None:
    text = (site / "reference" / "commands.html").read_text()
    entries = dict(re.findall(r'<h2 id="ptychonyx-([a-z-]+)">(.*?)(?=<h2|</article>)', text, re.S))
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert len(commands) > 10
    for name, command in commands.items():
        for parameter in command.params:
            for word in parameter.opts:
                assert re.search(rf"[> ]{word}[ <,]", entries[name], re.I), f"{name} {word}"


def test_every_setting_has_an_entry(pages: dict[Path, Page], site: Path) -> None:
    ids = pages[site / "reference" / "settings.html"].ids
    for kind in SETTINGS:
        assert not {f"{kind.__name__}.{one.name}" for one in fields(kind)} - ids


def test_every_link_within_the_site_holds(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # its links are those of a server
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].ids, f"{path}: {link}"


def test_nothing_is_loaded_from_the_network(pages: dict[Path, Page], site: Path) -> None:
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for place in page.loaded:
            assert not urlsplit(place).netloc, f"{path}: {place}"
            assert (path.parent / unquote(urlsplit(place).path)).resolve().exists(), place
    for style in site.rglob("*.css"):
        assert "url(http" not in style.read_text()
        assert "url(//" not in style.read_text()
