"""What a shell completes, asked of the shell itself."""

import shutil
import subprocess

import pytest

from pipelines.cli.commands import COMMANDS
from pipelines.cli.completion import every_option, script

ASK = """
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _inventory; echo "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def bash() -> str:
    return script("bash", every_option())


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("inventory reco", "reconcile"),
        ("inventory --ver", "--version"),
        ("inventory run --los", "--loss"),
        ("inventory run --gate.minimum_e", "--gate.minimum_effect"),
        ("inventory run --split-method pro", "products"),
        ("inventory compile --pipeline rec", "reconciliation"),
        ("inventory query --exp", "--expected"),
        ("inventory query --loss", ""),
    ],
)
def test_bash_completes_commands_options_and_values(words: str, completed: str, bash: str) -> None:
    done = subprocess.run(["bash", "-c", bash + ASK.format(words=words)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == completed


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_is_one_for_its_shell(shell: str) -> None:
    text = script(shell, every_option())
    assert all(command in text for command in COMMANDS)
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here reads it")
    subprocess.run([shell, "-n"], input=text, text=True, check=True)
