"""Our server against the same network in eager torch behind a plain ``kserve.Model``: same threads, same photos.

Eight clients send JSON with one base64 photo each; rounds alternate between the servers, so that what else the machine
does hits all alike. One client alone shows the latency beside decoding and the network in this process. Each engine
that gives a bundle's answers is measured, and what the server would choose by itself is said.
"""

import base64
import contextlib
import http.client
import io
import json
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.common import options
from benchmarks.server import free_port, serving
from benchmarks.serving_peer import CLASSES, SIZE, make_network
from components.counter import bundle as bundles
from components.counter.bundle import Bundle, InputTransform
from components.counter.engines import openvino
from components.counter.engines.choice import difference, open_engine
from components.counter.engines.names import EngineName
from components.counter.network import Session, median_seconds, open_served, run
from components.counter.photo import preprocess
from components.evaluate.int8 import INT8_FILE, quantise
from components.sources.rendered.bins import picture
from components.train.model.export import write_onnx
from components.train.model.network import ServedCounter

THREADS, CLIENTS = 2, 8
PHOTOS = 16
PATH = "/v1/models/bin-counter:predict"
TARGETS = {("tf_efficientnet_lite0", "fp32"): 2.0, ("tf_efficientnet_lite0", "int8"): 3.0} | {
    ("resnet18", "fp32"): 1.3,
    ("resnet18", "int8"): 3.0,
}
LATENCY_TARGET, P99_TARGET, MEMORY_TARGET = 1.3, 2.0, 500.0


@dataclass
class Load:
    """What clients saw of a server."""

    rates: list[float] = field(default_factory=list)
    """Requests a second, one for each round."""
    seconds: list[float] = field(default_factory=list)
    """Of every request."""

    def percentile(self, percent: float) -> float:
        """A percentile of the latencies, in seconds."""
        return float(np.percentile(self.seconds, percent))


def photos() -> list[bytes]:
    """Rendered bins of the public dataset's usual size."""
    made = []
    for index in range(PHOTOS):
        buffer = io.BytesIO()
        Image.fromarray(picture(index)).resize((468, 334)).save(buffer, "JPEG", quality=90)
        made.append(buffer.getvalue())
    return made


def write_bundles(backbone: str, folder: Path, pixels: np.ndarray) -> dict[str, Path]:
    """The bundle in 32 and in 8 bits."""
    served = ServedCounter(make_network(backbone), lambda outputs: outputs, flip_tta=False)
    folders = {kind: folder / backbone / kind for kind in ("fp32", "int8")}
    for kind, place in folders.items():
        place.mkdir(parents=True)
        write_onnx(served, pixels[:4], place / bundles.ONNX_FILE)
        if kind == "int8":
            quantise(place / bundles.ONNX_FILE, place / INT8_FILE, iter([pixels]))
        file = INT8_FILE if kind == "int8" else bundles.ONNX_FILE
        counts = list(range(1, CLASSES + 1))
        transform = InputTransform(size=SIZE)
        bundles.save(Bundle(version=kind, backbone=backbone, counts=counts, input=transform, serve_file=file), place)
    return folders


def press(port: int, bodies: list[bytes], headers: dict[str, str], clients: int, seconds: float, load: Load) -> None:
    """Lets clients send one request after the other for a while, each over a connection of its own."""
    until = time.monotonic() + seconds
    results: list[list[float]] = [[] for _ in range(clients)]

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        place = number
        while time.monotonic() < until:
            started = time.perf_counter()
            connection.request("POST", PATH, bodies[place % len(bodies)], headers)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise SystemExit(f"a server answered {response.status}")
            results[number].append(time.perf_counter() - started)
            place += 1
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = [value for result in results for value in result]
    load.rates.append(len(times) / (time.monotonic() - started))
    load.seconds += times


def in_process(folder: Path, engine: EngineName, files: list[bytes], seconds: float) -> float:
    """Median seconds of decoding one photo and running the network on it, in this process."""
    bundle = bundles.load(folder)
    session = open_engine(folder, bundle, THREADS, engine).session
    times, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        for file in files:
            started = time.perf_counter()
            run(session, preprocess(file, bundle.input)[None])
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def able(folder: Path) -> list[EngineName]:
    """The engines that give a bundle's answers here."""
    engines: tuple[EngineName, ...] = ("onnxruntime", "openvino") if openvino.is_installed() else ("onnxruntime",)
    return [name for name in engines if open_engine(folder, bundles.load(folder), THREADS, name).name == name]


def print_engines(backbone: str, folders: dict[str, Path], pixels: np.ndarray) -> None:
    """Each engine's time for one photo and for eight, how far it is from ONNX Runtime's answers, and the choice."""
    for kind, folder in folders.items():
        bundle = bundles.load(folder)
        sessions: dict[str, Session] = {"onnxruntime": open_served(folder, bundle, THREADS)}
        if openvino.is_installed():
            content = (folder / bundle.serve_file).read_bytes()
            sessions["openvino"] = openvino.OpenVINOSession(content, THREADS)
        times = [median_seconds(list(sessions.values()), pixels[:count]) for count in (1, 8)]
        for (name, session), one, eight in zip(sessions.items(), *times, strict=True):
            apart = difference(bundle, sessions["onnxruntime"], session, pixels[:8])
            times_ms = f"one photo {1000 * one:.2f} ms, eight {1000 * eight:.1f} ms"
            print(f"{backbone} {kind} {name}: {times_ms}, probabilities differ by {apart:.1g}")
        chosen = open_engine(folder, bundle, THREADS)
        print(f"{backbone} {kind}: the server takes {chosen.name}, {chosen.why}")


def measure(backbone: str, folder: Path, files: list[bytes], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """One network: rates, latencies and memory of the three servers."""
    pixels = np.stack([preprocess(file, InputTransform(size=SIZE)) for file in files])
    folders = write_bundles(backbone, folder, pixels)
    bodies = [json.dumps({"instances": [{"b64": base64.b64encode(file).decode()}]}).encode() for file in files]
    headers = {"content-type": "application/json"}
    print_engines(backbone, folders, pixels)
    served = {f"{kind} {engine}": (kind, engine) for kind, place in folders.items() for engine in able(place)}
    ports = {name: free_port() for name in ("peer", *served)}
    loads = {name: Load() for name in ports}
    alone: dict[str, list[float]] = {name: [] for name in served}
    direct: dict[str, list[float]] = {name: [] for name in served}
    with contextlib.ExitStack() as stack:
        commands = {
            name: [
                *("-m", "components.serve", "--bundle", str(folders[kind]), "--engine", engine),
                *("--port", str(ports[name]), "--threads", str(THREADS)),
            ]
            for name, (kind, engine) in served.items()
        }
        commands["peer"] = ["-m", "benchmarks.serving_peer", backbone, str(ports["peer"]), str(THREADS)]
        servers = {name: stack.enter_context(serving(command, ports[name])) for name, command in commands.items()}
        for name in ports:  # warm up
            press(ports[name], bodies, headers, CLIENTS, min(1.0, seconds), Load())
        for _ in range(rounds):
            for name, load in loads.items():
                press(ports[name], bodies, headers, CLIENTS, seconds, load)
            for name, (kind, engine) in served.items():
                single = Load()
                press(ports[name], files, {"content-type": "image/jpeg"}, 1, seconds / 2, single)
                alone[name].append(single.percentile(50))
                direct[name].append(in_process(folders[kind], engine, files, seconds / 2))
        memory = {name: servers[name].memory_info().rss / 1e6 for name in served}
    rows = []
    for name, (kind, _) in served.items():
        pairs = zip(loads[name].rates, loads["peer"].rates, strict=True)
        rows.append(
            {
                "backbone": backbone,
                "kind": name,
                "ours": statistics.median(loads[name].rates),
                "peer": statistics.median(loads["peer"].rates),
                "ratio": statistics.median(mine / theirs for mine, theirs in pairs),
                "target": TARGETS[backbone, kind],
                "p99": loads[name].percentile(99),
                "peer_p99": loads["peer"].percentile(99),
                "alone_p50": statistics.median(alone[name]),
                "direct_p50": statistics.median(direct[name]),
                "overhead": statistics.median(
                    one / other for one, other in zip(alone[name], direct[name], strict=True)
                ),
                "rss_mb": memory[name],
            }
        )
    return rows


def main() -> int:
    """Measures, prints the table and last the row that is furthest from its targets."""
    quick = options(__doc__).quick
    torch.set_num_threads(THREADS)
    files = photos()
    backbones = ["tf_efficientnet_lite0"] if quick else ["tf_efficientnet_lite0", "resnet18"]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for backbone in backbones:
            rows += measure(backbone, Path(folder), files, *((2, 1.5) if quick else (5, 6.0)))
    print(
        f"\n{'network':40}{'requests/s':>11}{'peer':>8}{'ratio':>7}{'target':>7}{'p99 ms':>9}{'peer':>8}"
        f"{'one p50 ms':>12}{'direct':>8}{'ratio':>7}{'RSS MB':>8}"
    )
    for row in rows:
        print(
            f"{row['backbone'] + ' ' + row['kind']:40}{row['ours']:11.1f}{row['peer']:8.1f}{row['ratio']:7.2f}"
            f"{row['target']:7.1f}{1000 * row['p99']:9.1f}{1000 * row['peer_p99']:8.1f}{1000 * row['alone_p50']:12.2f}"
            f"{1000 * row['direct_p50']:8.2f}{row['overhead']:7.2f}{row['rss_mb']:8.0f}"
        )
    met = [
        row["ratio"] >= row["target"]
        and row["peer_p99"] >= P99_TARGET * row["p99"]
        and row["overhead"] <= LATENCY_TARGET
        and row["rss_mb"] < MEMORY_TARGET
        for row in rows
    ]
    worst = min(rows, key=lambda row: row["ratio"] / row["target"])
    result = {"name": "serving", "unit": "requests/s", "ok": all(met), "rows": rows}
    print(json.dumps({**result, **{key: worst[key] for key in ("ours", "peer", "ratio", "target")}}))
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
