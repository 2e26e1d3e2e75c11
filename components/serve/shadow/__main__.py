"""``python -m components.serve.shadow FOLDER BYTES``: the process of a shadow, which ends with its server.

A process of its own, since a thread would hold Python's lock against the answers, and the longer the lower its
priority; and since a network that takes all memory or ends its process must not be in the server's.
"""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

NICENESS = 19
FIRST_TO_GO = "1000"
"""When the container's memory is over, the kernel ends the process with the most of these points (proc(5))."""

if __name__ == "__main__":
    os.nice(NICENESS)  # before anything large is imported
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)
    from components.serve.shadow.counting import main

    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
