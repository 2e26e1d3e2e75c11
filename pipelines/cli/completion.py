"""``inventory completion``: what a shell needs to complete commands, options and their values."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

SHELLS = ("bash", "zsh", "fish")
BASH = """\
_inventory() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} command= known="{commands}"
  [ "$COMP_CWORD" -gt 1 ] && command=${{COMP_WORDS[1]}}
  case "$command ${{COMP_WORDS[COMP_CWORD-1]}}" in
{values}
    *) case "$command" in
{options}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$known" -- "$word"))
}}
complete -o default -F _inventory inventory
"""
ZSH = "autoload -U +X bashcompinit && bashcompinit\n"

Options = Mapping[str, tuple[str, ...]]
"""The options of a command, each with the values that it takes; none where they are free."""


def add_commands(commands: Any) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "completion",
        help="what bash, zsh or fish needs to complete commands and options",
        description="Prints a script for your shell: `source <(inventory completion bash)` in .bashrc or .zshrc (zsh), "
        "`inventory completion fish | source` in config.fish.",
    )
    parser.add_argument("shell", choices=SHELLS, help="which shell")
    parser.set_defaults(command=_print)


def _print(options: argparse.Namespace) -> None:
    print(script(options.shell, every_option()), end="")


def every_option() -> dict[str, Options]:
    """The options of every command whose packages are installed here."""
    from components.common.errors import InventoryError
    from pipelines.cli.commands import COMMANDS, parser_for

    found: dict[str, Options] = {}
    for command in COMMANDS:
        try:
            whole = parser_for(command)
        except InventoryError:  # the command's extra is not installed
            continue
        (commands,) = [action for action in whole._actions if isinstance(action, argparse._SubParsersAction)]
        actions = commands.choices[command]._actions
        found[command] = {flag: _values(action) for action in actions for flag in action.option_strings if "--" in flag}
    return found


def _values(action: argparse.Action) -> tuple[str, ...]:
    """The values of an option: its choices, or those that its placeholder names, such as ``yes|no``."""
    if action.choices:
        return tuple(map(str, action.choices))
    named = str(action.metavar or "").split("|")
    return tuple(named) if len(named) > 1 else ()


def script(shell: str, commands: Mapping[str, Options]) -> str:
    """What one of ``SHELLS`` is to evaluate, for the options of every command."""
    if shell == "fish":
        return "".join(_fish(commands))
    values = [
        f'    "{command} {flag}") known="{" ".join(allowed)}" ;;'
        for command, options in commands.items()
        for flag, allowed in options.items()
        if allowed
    ]
    flags = [f'      {command}) known="{" ".join(options)}" ;;' for command, options in commands.items()]
    text = BASH.format(
        commands=" ".join([*commands, "--help", "--version"]), values="\n".join(values), options="\n".join(flags)
    )
    return ZSH + text if shell == "zsh" else text


def _fish(commands: Mapping[str, Options]) -> list[str]:
    lines = [f"complete -c inventory -n __fish_use_subcommand -a {json.dumps(' '.join(commands))}\n"]
    for command, options in commands.items():
        for flag, allowed in options.items():
            values = f" -xa {json.dumps(' '.join(allowed))}" if allowed else ""
            name = flag.removeprefix("--")
            lines.append(f"complete -c inventory -n '__fish_seen_subcommand_from {command}' -l {name}{values}\n")
    return lines
