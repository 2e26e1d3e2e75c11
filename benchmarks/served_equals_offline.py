"""Is the served answer that of the offline evaluation, for every test bin of a run?

The run's bundle is served by the real server process. Every test bin is asked for as a bare photo, as V1 JSON (base64)
and as a V2 binary tensor of files, eight requests at a time, with the bin's expected quantity; count, label, verdict
and probabilities must be those that the evaluation's own scoring gives.
"""

import base64
import json
import struct
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.common import options
from benchmarks.finished_run import FinishedRun, finished_run, given_or_trained
from benchmarks.server import free_port, serving
from components.counter.answers import answer
from components.counter.images.unusable import why_unusable
from components.counter.photo import brightness, preprocess
from components.counter.scoring import score
from components.counter.statistics.calibration import Calibration
from components.counter.statistics.metrics import softmax

CLIENTS = 8
TOLERANCE = 1e-3
"""Largest difference of a probability: the server counts photos in other batches, which changes the last digits."""

Answer = dict[str, Any]
Ask = Callable[[httpx.Client, bytes, int], Answer]


def ask_raw(client: httpx.Client, photo: bytes, expected: int) -> Answer:
    """A bare photo."""
    response = client.post(
        "/v1/models/bin-counter:predict",
        content=photo,
        headers={"content-type": "image/jpeg"},
        params={"expected_quantity": expected},
    )
    return _prediction(response)


def ask_v1(client: httpx.Client, photo: bytes, expected: int) -> Answer:
    """V1 JSON."""
    instance = {"b64": base64.b64encode(photo).decode(), "expected_quantity": expected}
    return _prediction(client.post("/v1/models/bin-counter:predict", json={"instances": [instance]}))


def _prediction(response: httpx.Response) -> Answer:
    prediction: Answer = response.raise_for_status().json()["predictions"][0]
    return prediction


def ask_v2(client: httpx.Client, photo: bytes, expected: int) -> Answer:
    """V2 with the binary extension: BYTES [1], and the expected quantity as INT32 [1]."""
    files, quantities = struct.pack("<I", len(photo)) + photo, struct.pack("<i", expected)
    inputs = [
        {"name": name, "datatype": datatype, "shape": [1], "parameters": {"binary_data_size": len(data)}}
        for name, datatype, data in (("images", "BYTES", files), ("expected_quantity", "INT32", quantities))
    ]
    head = json.dumps({"inputs": inputs}).encode()
    response = client.post(
        "/v2/models/bin-counter/infer",
        content=head + files + quantities,
        headers={"inference-header-content-length": str(len(head))},
    )
    got = {output["name"]: output["data"] for output in response.raise_for_status().json()["outputs"]}
    return {name: got[name][0] for name in ("count", "label", "confidence", "verdict")} | {
        "probabilities": got["probabilities"]
    }


FORMATS: dict[str, Ask] = {"bare photo": ask_raw, "V1 JSON": ask_v1, "V2 binary": ask_v2}


def offline(run: FinishedRun) -> list[Answer]:
    """What the evaluation says of every test bin."""
    quantities = run.bins.table.column("expected_quantity").to_pylist()
    logits = score(run.folder / run.bundle.serve_file, run.bins, run.bundle.input, "test bins, offline")
    rows = softmax(Calibration.of(run.bundle).apply(logits))
    answers = []
    for place, (row, expected) in enumerate(zip(rows, quantities, strict=True)):
        image = preprocess(run.bins.image(place), run.bundle.input)
        said = answer(run.bundle, row.tolist(), brightness(image), expected, why_unusable(image))
        answers.append(said.model_dump())
    return answers


def compare(run: FinishedRun) -> list[dict[str, Any]]:
    """Asks for every test bin in every format.

    Returns:
        For each format ``format``, ``bins``, ``different`` (bins whose count, label or verdict is another, or whose
        probabilities are further off than ``TOLERANCE``) and ``largest`` (difference of a probability).
    """
    wanted = offline(run)
    port = free_port()
    command = ["-m", "components.serve", "--bundle", str(run.folder), "--port", str(port), "--threads", "2"]
    rows = []
    with (
        serving([*command, "--name", "bin-counter"], port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        for name, ask in FORMATS.items():

            def one(place: int, ask: Ask = ask) -> tuple[bool, float]:
                return _apart(
                    ask(client, bytes(run.bins.image(place)), wanted[place]["expected_quantity"]), wanted[place]
                )

            found = list(pool.map(one, range(len(wanted))))
            rows.append(
                {
                    "format": name,
                    "bins": len(found),
                    "different": sum(other or apart > TOLERANCE for other, apart in found),
                    "largest": max(apart for _, apart in found),
                }
            )
    return rows


def _apart(got: Answer, wanted: Answer) -> tuple[bool, float]:
    """Whether the answers differ in words, and the largest difference of a probability."""
    shares = got["probabilities"]
    values = list(shares.values()) if isinstance(shares, dict) else shares
    apart = float(np.abs(np.array(values) - np.array(list(wanted["probabilities"].values()))).max())
    return any(got[name] != wanted[name] for name in ("count", "label", "verdict")), apart


def main() -> int:
    """Compares, prints the table and last the result."""
    chosen = options(__doc__, run="folder of a finished run, or its id in the object store")
    with (
        tempfile.TemporaryDirectory() as folder,
        finished_run(given_or_trained(chosen.run, chosen.quick), Path(folder)) as run,
    ):
        rows = compare(run)
        version, file = run.bundle.version, run.bundle.serve_file
    print(f"\nmodel {version}, {file}\n{'asked as':16}{'test bins':>10}{'different':>11}{'largest difference':>22}")
    for row in rows:
        print(f"{row['format']:16}{row['bins']:10,}{row['different']:11,}{row['largest']:22.1e}")
    different = sum(row["different"] for row in rows)
    result = {"name": "served_equals_offline", "ours": different, "peer": 0, "unit": "answers that differ"}
    print(json.dumps({**result, "ratio": 1.0, "target": 1.0, "ok": different == 0, "rows": rows}))
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
