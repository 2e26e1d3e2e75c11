"""Runs in a pod of the cluster: asks the service again and again, and prints what came of it.

Each request is a connection of its own, as from many clients; a request that is not answered with 200 is lost.
"""

import json
import sys
import threading
import time
import urllib.request

from components.sources.rendered.bins import rendered_photo


def main(url: str, rate: float, seconds: float) -> None:
    """Asks ``rate`` times a second for so many seconds, and prints the sums so far every two."""
    photo, sums, errors, lock = rendered_photo(0), {"sent": 0, "lost": 0}, {}, threading.Lock()

    def ask() -> None:
        request = urllib.request.Request(url, photo, {"Content-Type": "image/jpeg"})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                response.read()
            error = None
        except OSError as problem:
            error = f"{type(problem).__name__}: {problem}"
        with lock:
            sums["sent"] += 1
            if error:
                sums["lost"] += 1
                errors[error] = errors.get(error, 0) + 1

    start = said = time.monotonic()
    for number in range(round(rate * seconds)):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        threading.Thread(target=ask, daemon=True).start()
        if time.monotonic() - said > 2:
            said = time.monotonic()
            with lock:
                print(json.dumps({**sums, "errors": errors}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
