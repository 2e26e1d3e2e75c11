import importlib.metadata
import platform
import subprocess

import pytest

from components.common import provenance
from components.common.provenance import commit, version, versions


def test_versions_are_those_of_python_and_of_what_is_installed():
    found = versions(["numpy", "no-such-package"])
    assert found == {
        "python": platform.python_version(),
        "numpy": importlib.metadata.version("numpy"),
        "no-such-package": "not installed",
    }
    assert version("python") == found["python"]


def test_the_commit_is_the_one_that_an_image_names(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INVENTORY_COMMIT", "abc")
    assert commit() == "abc"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (subprocess.CompletedProcess([], 0, "123\n"), "123"),
        (subprocess.CompletedProcess([], 128, "", "not a repository"), None),
        (FileNotFoundError("git"), None),
        (subprocess.TimeoutExpired("git", 10), None),
    ],
)
def test_elsewhere_it_is_what_git_says_if_it_says_anything(monkeypatch: pytest.MonkeyPatch, answer, found):
    def run(*_args, **_options):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.delenv("INVENTORY_COMMIT", raising=False)
    monkeypatch.setattr(provenance.subprocess, "run", run)
    assert commit() == found
