"""Builds the site from the pages of this repository and those made from the code; a link that leads nowhere ends it.

``python -m release.docs PYTHON FOLDER``: PYTHON has MkDocs Material (``requirements/tools/docs.txt``).
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from components.common.errors import InventoryError
from release import reference
from release.command import carry_out
from release.environments import ROOT
from release.notebook import NOTEBOOK

CONFIG = ROOT / "mkdocs.yml"
STAGE = ROOT / "build" / "docs"
FOLDERS = ("benchmarks", "components", "docker", "docs", "manifests")
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)#:\s]+)(?P<anchor>#[^)]*)?\)")


def pages() -> list[Path]:
    """Every page of the repository that the site shows."""
    return [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in sorted((ROOT / folder).rglob("*.md")))]


def stage(folder: Path) -> None:
    """Puts all pages, with the files that they link to, where MkDocs reads them, in the repository's own places."""
    shutil.rmtree(folder, ignore_errors=True)
    for page in pages():
        place = folder / page.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(LINK.sub(lambda link, page=page: _link(link, page, folder), page.read_text()))  # type: ignore[misc]
    reference.write(folder)


def _link(link: re.Match[str], page: Path, folder: Path) -> str:
    """The link as the site has it: a folder's is that of its page, or no link; a file that is no page comes along."""
    target = (page.parent / link["target"]).resolve()
    if target.is_dir():
        page_of = f"{link['target'].rstrip('/')}/README.md"
        return f"[{link['text']}]({page_of})" if (target / "README.md").is_file() else link["text"]
    if target == NOTEBOOK:
        return link[0].replace(NOTEBOOK.name, f"{NOTEBOOK.stem}.md")
    if target.is_file() and target.suffix != ".md":
        copied = folder / target.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(target, copied)
    return link[0]


def build(python: str, site: Path) -> list[Path]:
    """Builds the site.

    Args:
        python: the interpreter that has MkDocs Material.
        site: gets the pages.

    Returns:
        The first of them.

    Raises:
        InventoryError: if a link, a heading or a page of the navigation is not there.
    """
    stage(STAGE)
    command = [python, "-m", "mkdocs", "build", "--strict", "--config-file", str(CONFIG)]
    done = subprocess.run(
        [*command, "--site-dir", str(site.resolve())], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.splitlines()
        wrong = [line for line in said if line.startswith(("WARNING", "ERROR"))] or said[-1:]
        raise InventoryError("the site is not built:\n" + "\n".join(wrong))
    return [site / "index.html"]


if __name__ == "__main__":
    sys.exit(carry_out(build))
