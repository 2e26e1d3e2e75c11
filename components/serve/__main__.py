"""``python -m components.serve --bundle DIR_OR_URI``: serves a model bundle over HTTP."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import get_args

from components.common.errors import InventoryError
from components.common.machine import usable_memory, usable_threads
from components.common.store import is_address, open_address
from components.counter.bundle import Bundle
from components.counter.engines.names import Choice
from components.counter.signing.keys import PUBLIC_VARIABLE, public_key
from components.counter.signing.signature import load
from components.counter.signing.stored import fetch
from components.serve.limits import Limits
from components.serve.memory import MEBIBYTE, give_memory_back, keep_what_stays, shared
from components.serve.monitoring import traces
from components.serve.monitoring.request_log import log_requests
from components.serve.predictor import CountPredictor
from components.serve.server import serve
from components.serve.shadow.shadow import Shadow

SWITCH_SECONDS = 0.0005
"""The event loop waits at most so long for each thread that works in Python, such as those that look through photos."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    limits = Limits()
    made = argparse.ArgumentParser(
        "python -m components.serve",
        description="Serves a model bundle: KServe V1 and V2, photos as they are, a page at /.",
    )
    made.add_argument("--bundle", required=True, help="folder of a model bundle, or its s3:// URI")
    made.add_argument("--name", help="the model's name in URLs (default: the bundle's)")
    made.add_argument(
        "--public-key",
        default="",
        metavar="FILE",
        help="serve only a bundle whose signature holds under this key, PEM of an elliptic curve (default: the one of "
        f"{PUBLIC_VARIABLE}, if any)",
    )
    made.add_argument(
        "--host", default="127.0.0.1", help="address to listen on, :: for all of IPv4 and IPv6 (default %(default)s)"
    )
    made.add_argument(
        "--port",
        type=_number(int, 0, 65535, "port"),
        default=8080,
        help="port, 0 for any free one (default %(default)s)",
    )
    made.add_argument(
        "--grpc-port",
        type=_number(int, 0, 65535, "port"),
        help="also answer the V2 protocol over gRPC on this port, 0 for any free one (default: REST alone)",
    )
    made.add_argument(
        "--threads", type=_number(int, 0, 256), default=0, help="default: one for each core that it may use"
    )
    made.add_argument(
        "--engine",
        choices=get_args(Choice),
        default="auto",
        help="what runs the network; auto measures those that are installed and answer alike (%(default)s)",
    )
    made.add_argument(
        "--max-body-mib",
        type=_number(int, 1, 256),
        default=limits.body_bytes // MEBIBYTE,
        help="larger requests get 413 (%(default)s)",
    )
    made.add_argument(
        "--max-photos",
        type=_number(int, 1, 4096),
        default=limits.photos,
        help="photos at work; more get 429 (%(default)s)",
    )
    made.add_argument(
        "--drain-seconds",
        type=_number(float, 0, 600),
        default=0.0,
        help="how long to go on taking requests after SIGTERM, for a cluster's endpoints to follow (%(default)s)",
    )
    made.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="web pages of this origin may ask, such as https://stock.example; may be repeated (default: none)",
    )
    made.add_argument(
        "--drift-window",
        type=_number(int, 0, 100_000),
        default=1000,
        help="photos that are compared with the bundle's drift reference at /metrics, 0 for none (%(default)s)",
    )
    made.add_argument(
        "--shadow",
        metavar="BUNDLE",
        help="a second bundle, folder or s3:// URI, that gets copies of the photos and answers nobody: how far it "
        "agrees is told at /metrics and by `inventory shadow`",
    )
    made.add_argument(
        "--log-requests", action="store_true", help="one line of JSON for each prediction request on standard output"
    )
    return made


def _number(kind: type[int] | type[float], least: int, most: int, what: str = "number here") -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(least - 1)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"'{text[:40]}' is no {what}; give {least} to {most}")
        return value

    return read


def main(arguments: list[str]) -> int:
    """Serves until SIGTERM; returns the exit code."""
    options = parser().parse_args(arguments)
    give_memory_back()
    sys.setswitchinterval(SWITCH_SECONDS)
    if options.log_requests:
        log_requests()
    try:
        decode_bytes, for_shadow = shared(usable_memory(), Limits().decode_bytes, shadow=bool(options.shadow))
        limits = Limits(
            body_bytes=options.max_body_mib * MEBIBYTE,
            buffered_bytes=max(Limits().buffered_bytes, options.max_body_mib * MEBIBYTE),
            photos=options.max_photos,
            decode_bytes=decode_bytes,
        )
        with (
            tempfile.TemporaryDirectory(prefix="bundle-") as scratch,
            tempfile.TemporaryDirectory(prefix="shadow-", ignore_cleanup_errors=True) as beside,
        ):
            key = public_key(options.public_key)
            folder, bundle = _verified(options.bundle, Path(scratch), key)
            name = options.name or bundle.name
            threads = options.threads or usable_threads()
            model = CountPredictor(
                name, folder, threads, limits.decode_bytes, options.drift_window, key, options.engine
            )
            model.load()
            if options.shadow:
                model.shadow = Shadow(model.bundle, lambda: _verified(options.shadow, Path(beside), key)[0], for_shadow)
            keep_what_stays()
            shadowing = model.shadow.working() if model.shadow else nullcontext()
            with traces.exporting(), shadowing, suppress(KeyboardInterrupt):
                serve(
                    model,
                    options.host,
                    options.port,
                    limits,
                    options.drain_seconds,
                    options.allow_origin,
                    options.grpc_port,
                )
    except InventoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _verified(place: str, scratch: Path, key: Path | None) -> tuple[Path, Bundle]:
    """A bundle and its local folder, fetched from the object store when ``place`` is an ``s3://`` URI."""
    if not is_address(place):
        return Path(place), load(Path(place), key)
    store, prefix = open_address(place)
    return scratch, fetch(store, prefix, scratch, key)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
