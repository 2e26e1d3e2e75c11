"""The start of the command line ``inventory``; imports nothing, so that Ctrl-C is heard from the first moment."""

import sys


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns the exit code; a user's mistake is one line on standard error.

    The words after ``inventory`` are this process's own when None.
    """
    try:
        from pipelines.cli.commands import carry_out

        return carry_out(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
