"""What is installed is pinned by version and hash, and installed by them."""

import re
from pathlib import Path

import pytest

from release.environments import REQUIREMENTS, ROOT
from tests.release.pins import PIN, unhashed

FILES = [file for file in sorted(REQUIREMENTS.rglob("*.txt")) if file.name != "overrides.txt"]
EXTRAS = REQUIREMENTS / "extras"
HASH = f"--hash=sha256:{'0a' * 32}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(REQUIREMENTS)))
def test_requirements_name_exact_versions_with_hashes_and_no_address(file: Path) -> None:
    assert "//" not in file.read_text()
    if file.parent == EXTRAS:  # a wheel's metadata holds no hashes
        assert all(PIN.fullmatch(line) for line in file.read_text().splitlines())
    else:
        assert unhashed(file) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"a==1 \\\n    {HASH}\nb==2.0rc1 ; python_version < '3' \\\n    {HASH} \\\n    {HASH}\n", []),
        (f"# why\na==1 {HASH}\n", []),
        (f"a==1\nb==2 \\\n    {HASH}\n", ["a==1"]),
        (f"a>=1 \\\n    {HASH}\n", ["a>=1"]),
        (f"a==1 \\\n    {HASH[:-1]}\n", ["a==1"]),
        ("a==1 \\\n    --hash=md5:00\n", ["a==1"]),
        (f"a @ https://example.com/a.whl \\\n    {HASH}\n", ["a @ https://example.com/a.whl"]),
        (f"a==1 \\\n    {HASH}\n    {HASH}\n", ["   "]),
    ],
)
def test_a_line_without_version_or_hash_is_found(text: str, found: list[str], tmp_path: Path) -> None:
    (tmp_path / "pins.txt").write_text(text)
    assert unhashed(tmp_path / "pins.txt") == found


def test_the_extra_serve_is_the_image_serve() -> None:
    pins = re.findall(r"^\S+==[^\\\n]*[^\\\s]", (REQUIREMENTS / "serve.txt").read_text(), re.MULTILINE)
    assert (EXTRAS / "serve.txt").read_text().splitlines() == pins


@pytest.mark.parametrize("file", ["Makefile", "docker/Dockerfile"])
def test_no_file_of_requirements_is_installed_without_its_hashes(file: str) -> None:
    """Except torch's wheels for the CPU, which the index that a user names has under other hashes."""
    text = (ROOT / file).read_text()
    files = re.findall(r"(?:pip install|\$\(PIP_INSTALL\)) (.*) -r ([^\s;]+)", text)
    assert len(files) >= 3
    assert [name for words, name in files if "--require-hashes" not in words.split()] in ([], ["/tmp/torch.txt"])
