"""Runs every benchmark of this folder and ends with one line for each; `make bench`."""

import argparse
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

HELPERS = (
    "all",
    "common",
    "trainings",
    "serving_peer",
    "accuracy",
    "finished_run",
    "server",
    "record_lift",
    "learning",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small inputs, at most 60 s a benchmark")
    options = parser.parse_args()
    names = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if module.name not in HELPERS]
    results = []
    for name in sorted(names):
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if options.quick else [])]
        process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        print(process.stdout, flush=True)
        last = process.stdout.strip().splitlines()[-1:] or [""]
        results.append(json.loads(last[0]) if process.returncode == 0 else {"name": name, "ok": False})
    for result in results:
        print(f"{'ok  ' if result['ok'] else 'MISS'} {json.dumps(result)}")
    return int(not all(result["ok"] for result in results))


if __name__ == "__main__":
    sys.exit(main())
