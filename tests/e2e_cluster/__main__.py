"""``make e2e``: the product on a real cluster, row by row; docs/e2e.md says what it needs."""

import argparse
import json
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

from components.common.errors import InventoryError
from tests.e2e_cluster.place import NAME, FailedError, Place, clean, open_place
from tests.e2e_cluster.rows import ROWS

CLUSTER = '{"cpu": "500m", "memory": "3Gi", "ephemeral_storage": "4Gi", "shared_memory": "256Mi"}'
SERVING = '{"cpu": "250m", "memory": "1Gi"}'


def main() -> int:
    """Runs the rows and returns the exit code: 1 when one failed or something was left behind."""
    options = _options()
    rows = options.only.split(",") if options.only else list(ROWS)
    if unknown := [name for name in rows if name not in ROWS]:
        print(f"error: there is no row {', '.join(unknown)}; the rows are {', '.join(ROWS)}", file=sys.stderr)
        return 2
    try:
        place = open_place(
            options.namespace,
            options.host,
            options.package,
            options.store_secret,
            options.bucket,
            json.loads(options.cluster),
            json.loads(options.serving),
            options.service_account,
            options.rate,
        )
        if (there := place.left()) and not options.anyway:
            print(
                f"error: namespace {options.namespace} holds {', '.join(there[:5])}; take another, or say --anyway",
                file=sys.stderr,
            )
            return 1
    except InventoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("| row | ok | seconds | note |\n|---|---|---|---|", flush=True)
    try:
        good = [_row(place, name) for name in rows]
    finally:
        if not options.keep:
            left = clean(place)
            good_end = not left
            print(f"| nothing left | {_word(good_end)} | | {', '.join(left)} |", flush=True)
    return int(not all(good) or (not options.keep and not good_end))


def _row(place: Place, name: str) -> bool:
    start = time.monotonic()
    try:
        with redirect_stdout(sys.stderr):  # the steps' progress is no part of the table
            good, said = True, ROWS[name](place)
    except (FailedError, InventoryError) as error:
        good, said = False, str(error)
    except Exception as error:  # a row that breaks must not hide the others
        good, said = False, f"{type(error).__name__}: {error}"
    said = " ".join(said.split()).replace("|", "/")
    print(f"| {name} | {_word(good)} | {time.monotonic() - start:.0f} | {said[:400]} |", flush=True)
    return good


def _word(good: bool) -> str:
    return "yes" if good else "**no**"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e_cluster", description=__doc__)
    add = parser.add_argument
    add("--namespace", default="kubeflow", help="where manifests/ have been applied [kubeflow]")
    add("--host", help="Kubeflow Pipelines API [$KF_PIPELINES_ENDPOINT, or a port forwarded to it]")
    add("--package", type=Path, default=Path("inventory.yaml"), help="compiled with your images [inventory.yaml]")
    add("--store-secret", default="inventory-store", help="names the object store [inventory-store]")
    add("--bucket", default=NAME, help=f"made in that store, and removed at the end [{NAME}]")
    add("--cluster", default=CLUSTER, help=f"the runs' parameter [{CLUSTER}]")
    add("--serving", default=SERVING, help=f"the runs' parameter [{SERVING}]")
    add("--service-account", help="that steps run as [Kubeflow's default]")
    add("--rate", type=float, default=5.0, help="requests a second while a model is replaced [5]")
    add("--only", help=f"rows, separated by commas: {', '.join(ROWS)}")
    add("--anyway", action="store_true", help="go on though things of ours are in the namespace")
    add("--keep", action="store_true", help="leave everything there, for further rows in another call")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
