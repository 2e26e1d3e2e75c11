"""A working tree's code over the object store: what is packed, and what a process runs that is told to take it."""

import io
import os
import subprocess
import sys
import tarfile
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from components.common.errors import InventoryError
from components.common.files import sha256_bytes
from components.common.step.code import CODE_ALLOWED, CODE_VARIABLE, MOST_BYTES, pack, put_code, take_code
from components.common.store import Store

ROOT = Path(__file__).parents[2]


def checkout(folder: Path, says: str = "of the working tree") -> Path:
    """A small package, with files beside it that are none of the package's code."""
    package = folder / "components"
    (package / "pages" / "__pycache__").mkdir(parents=True)
    (package / "common").mkdir()
    files = {"__init__.py": "", "marker.py": f"print({says!r})", "pages/__init__.py": "", "pages/page.css": "p {}"}
    files |= {"common/__init__.py": "", "common/store.py": f"print('the store', {says!r})"}
    files |= {"pages/__pycache__/old.py": "", "pages/photo.jpg": "x", "marker.pyc": "x"}
    for name, text in files.items():
        (package / name).write_text(text)
    (folder / "secrets.py").write_text("")
    return folder


def run(tmp_path: Path, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """A process of an image, whose own code is this checkout's."""
    variables = {**os.environ, **environment, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    done = [sys.executable, *command]
    return subprocess.run(done, env=variables, cwd=elsewhere, capture_output=True, text=True, timeout=120, check=False)


def test_the_same_files_give_the_same_pack_of_code_alone(tmp_path: Path) -> None:
    one, other = checkout(tmp_path / "one"), checkout(tmp_path / "other")
    os.utime(other / "components" / "marker.py", (1, 1))
    assert pack(one) == pack(other)
    with tarfile.open(fileobj=io.BytesIO(pack(one))) as archive:
        names = archive.getnames()
    wanted = (
        "__init__.py",
        "common/__init__.py",
        "common/store.py",
        "marker.py",
        "pages/__init__.py",
        "pages/page.css",
    )
    assert names == sorted(f"components/{name}" for name in wanted)
    assert pack(checkout(tmp_path / "third", "something else")) != pack(one)


@pytest.fixture(scope="module")
def files() -> set[str]:
    """Of the package in this checkout, as git knows them."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "components"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        pytest.skip("there is no git")
    if listed.returncode or not listed.stdout:
        pytest.skip("this is no checkout of git")
    return {name for name in listed.stdout.split("\0") if (ROOT / name).is_file()}


def test_all_of_this_checkouts_package_is_packed(files: set[str]) -> None:
    packed = pack(ROOT)
    assert len(packed) < MOST_BYTES / 4
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert set(archive.getnames()) == files


def test_all_of_this_checkouts_package_is_installed(files: set[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["*"]
    left_out = {
        name for name in files if not any(fnmatchcase(Path(name).name, pattern) for pattern in ("*.py", *patterns))
    }
    assert left_out == set()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: folder, r"there is no components/__init__\.py; give the folder of a checkout"),
        (lambda folder: _with_too_much(checkout(folder)), "components is larger than 8 MiB; is it code alone"),
    ],
)
def test_what_is_no_checkout_is_refused(tmp_path: Path, prepare, message: str) -> None:
    with pytest.raises(InventoryError, match=message):
        pack(prepare(tmp_path))


def _with_too_much(folder: Path) -> Path:
    (folder / "components" / "a.json").write_bytes(os.urandom(MOST_BYTES + 1))
    return folder


@pytest.mark.parametrize("how", [("-m", "components.marker"), ("-c", "import components.marker")])
def test_a_process_that_is_told_to_runs_the_packs_code_and_no_other(
    store: Store, store_environment: dict[str, str], tmp_path: Path, how: tuple[str, str]
) -> None:
    told = {CODE_VARIABLE: put_code(store, checkout(tmp_path)), **store_environment, "INVENTORY_BUCKET": store.bucket}
    first = run(tmp_path, told, *how)
    assert (first.returncode, first.stdout) == (0, "of the working tree\n"), first.stderr
    # unpacked once on a machine; nothing is asked of the store again
    again = run(tmp_path, {**told, "S3_ENDPOINT_URL": "http://127.0.0.1:9"}, *how)
    assert again.stdout == "of the working tree\n"
    # of what was imported on the way there nothing stays
    assert run(tmp_path, told, "-c", "import components.common.store").stdout == "the store of the working tree\n"
    assert run(tmp_path, {CODE_VARIABLE: ""}, "-c", "import components.common.store").stdout == ""


def test_a_process_that_is_to_run_its_images_code_alone_takes_no_other(
    store: Store, store_environment: dict[str, str], tmp_path: Path
) -> None:
    told = {CODE_VARIABLE: put_code(store, checkout(tmp_path)), **store_environment, "INVENTORY_BUCKET": store.bucket}
    assert run(tmp_path, told, "-m", "components.marker").returncode == 0  # so that it is there without the store
    done = run(tmp_path, {**told, CODE_ALLOWED: "no"}, "-m", "components.marker")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: --code is refused; this pipeline was compiled with INVENTORY_CODE_ALLOWED=no")
    assert done.stderr.count("\n") == 1


def test_code_that_is_not_what_it_should_be_is_one_line(
    store: Store, store_environment: dict[str, str], tmp_path: Path
) -> None:
    sha256 = put_code(store, checkout(tmp_path))
    place = {**store_environment, "INVENTORY_BUCKET": store.bucket}
    store.put_bytes(f"code/{sha256}.tar.gz", b"other code")
    for reference, message in (
        (sha256, "is damaged; submit the run again with --code"),
        ("f" * 64, "f" * 64),
        ("../../etc", "is no sha256; submit the run again with --code"),
    ):
        done = run(tmp_path, {**place, CODE_VARIABLE: reference}, "-m", "components.train")
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where ``take_code`` unpacks."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_pack_is_taken_by_the_python_of_debian_12(
    store: Store, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is 3.11.2; ``tarfile`` has filters since 3.11.4 (PEP 706)."""
    kept = tarfile.TarFile.extractall

    def extractall(self, path=".", members=None, *, numeric_owner=False):
        kept(self, path, members, numeric_owner=numeric_owner)

    monkeypatch.setattr(tarfile.TarFile, "extractall", extractall)
    package = take_code(put_code(store, checkout(tmp_path)), store)
    assert package.is_relative_to(temporary)
    assert (package / "pages" / "page.css").read_text() == "p {}"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../outside.py", tarfile.REGTYPE),
        ("components/../../outside.py", tarfile.REGTYPE),
        ("/outside.py", tarfile.REGTYPE),
        ("//outside-of-it/outside.py", tarfile.REGTYPE),
        ("components/link.py", tarfile.SYMTYPE),
        ("components/link.py", tarfile.LNKTYPE),
        ("components/pipe.py", tarfile.FIFOTYPE),
    ],
)
def test_nothing_but_files_of_a_package_is_unpacked(store: Store, temporary: Path, name: str, kind: bytes) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(_entry("components/__init__.py", tarfile.REGTYPE))
        archive.addfile(_entry(name, kind))
    sha256 = sha256_bytes(packed.getvalue())
    store.put_bytes(f"code/{sha256}.tar.gz", packed.getvalue())
    with pytest.raises(InventoryError, match="which is no file of a package"):
        take_code(sha256, store)
    assert not list(temporary.rglob("*"))


def _entry(name: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.linkname = "components/__init__.py"
    return entry
