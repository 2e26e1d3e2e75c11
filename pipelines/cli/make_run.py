"""``make run SPLIT=70/10/20``: the variables of make as options of ``inventory run``.

Values come through the environment, so that no shell reads quotes, spaces or dollars in them.
"""

import os
import sys
from collections.abc import Mapping

from pipelines.cli.main import main

NAMES_VARIABLE = "MAKE_VARIABLES"
OF_THE_ENVIRONMENT = ("INVENTORY_", "S3_", "AWS_", "SOURCE_AWS_", "KF_")
"""Beginnings of variables that steps read themselves."""


def options_of(environment: Mapping[str, str]) -> list[str]:
    """The options that make's variables, named in ``MAKE_VARIABLES``, stand for, such as ``--split=70/10/20``."""
    names = environment.get(NAMES_VARIABLE, "").split()
    return [
        f"--{name.lower().replace('_', '-')}={environment[name]}"
        for name in names
        if not name.startswith(OF_THE_ENVIRONMENT)
    ]


if __name__ == "__main__":
    sys.exit(main(["run", *options_of(os.environ)]))
