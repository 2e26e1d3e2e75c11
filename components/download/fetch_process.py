"""A process that fetches groups of bins for ``components.download.fetch_processes``: pickles in, pickles out.

Its input ends with the step, however that went, and so does the process.
"""

import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

from components.download.fetch import THREADS, groups_at_once


def main() -> None:
    """Reads the source and then, as often as they come, a fetch function with its group; answers each."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not mix with the answers
        messages = sys.stdin.buffer
        try:
            pool = ThreadPoolExecutor(THREADS // groups_at_once())
            source = pickle.load(messages)  # noqa: S301 - from the step that started us
            while True:
                function, group = pickle.load(messages)  # noqa: S301
                try:
                    answer = function(source, pool, group)
                except Exception as error:  # noqa: BLE001, RUF100 - the step raises it
                    answer = error
                pickle.dump(answer, answers)
                answers.flush()
        except (EOFError, BrokenPipeError):
            os._exit(0)


if __name__ == "__main__":
    main()
