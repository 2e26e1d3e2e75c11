"""Asks a server with Triton's clients, in an environment without this project, and prints what they answered.

``python ask_with_triton.py HTTP_ADDRESS GRPC_ADDRESS MODEL VERSION FOLDER``: the folder's files are the photos, in
order of their names.
"""

import base64
import json
import queue
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

OUTPUTS = ("count", "label", "confidence", "verdict")


def inputs_of(module, files):
    """The photos, and 3 as what the stock records say of each."""
    images = module.InferInput("images", [len(files)], "BYTES")
    images.set_data_from_numpy(np.array(files, np.object_))
    expected = module.InferInput("expected_quantity", [len(files)], "INT64")
    expected.set_data_from_numpy(np.full(len(files), 3, np.int64))
    return [images, expected]


def json_inputs(files):
    """The same without the binary extension, where photos are base64 text."""
    images = tritonclient.http.InferInput("images", [len(files)], "BYTES")
    images.set_data_from_numpy(np.array([base64.b64encode(file) for file in files], np.object_), binary_data=False)
    expected = tritonclient.http.InferInput("expected_quantity", [len(files)], "INT64")
    expected.set_data_from_numpy(np.full(len(files), 3, np.int64), binary_data=False)
    return [images, expected]


def answered(result):
    values = {name: result.as_numpy(name) for name in OUTPUTS}
    return {
        name: [item.decode() if isinstance(item, bytes) else item for item in value.tolist()]
        for name, value in values.items()
        if value is not None
    }


def refusal(call, *arguments, **more):
    try:
        call(*arguments, **more)
    except InferenceServerException as error:
        return error.status(), error.message()
    return "not refused", ""


def common(module, client, model, version, files, as_json):
    """What both clients ask in the same words."""
    inputs = inputs_of(module, files)
    one = [module.InferRequestedOutput("count")]
    return {
        "states": [
            client.is_server_live(),
            client.is_server_ready(),
            client.is_model_ready(model),
            client.is_model_ready(model, version),
        ],
        "server": client.get_server_metadata(**as_json),
        "model": client.get_model_metadata(model, version, **as_json),
        "binary": answered(client.infer(model, inputs, model_version=version, request_id="mine")),
        "one output": answered(client.infer(model, inputs, outputs=one)),
        "index": client.get_model_repository_index(**as_json),
        "config": client.get_model_config(model, version, **as_json),
        "statistics": client.get_inference_statistics(model, **as_json),
        "refused": {
            "config of another version": refusal(client.get_model_config, model, "99"),
            "statistics of another model": refusal(client.get_inference_statistics, "other"),
            "another model": refusal(client.infer, "other", inputs),
            "another version": refusal(client.infer, model, inputs, model_version="99"),
            "another output": refusal(client.infer, model, inputs, outputs=[module.InferRequestedOutput("x")]),
            "no photo": refusal(client.infer, model, inputs_of(module, [b"text"])),
            "load": refusal(client.load_model, model),
            "unload": refusal(client.unload_model, model),
        },
    }


def over_http(address, model, version, files):
    module = tritonclient.http
    client = module.InferenceServerClient(address, concurrency=4)
    said = common(module, client, model, version, files, {})
    inputs = inputs_of(module, files)
    said["id"] = client.infer(model, inputs, request_id="mine").get_response()["id"]
    texts = [module.InferRequestedOutput(name, binary_data=False) for name in OUTPUTS]
    said["JSON"] = answered(client.infer(model, json_inputs(files), outputs=texts))
    for packing in ("gzip", "deflate"):
        said[packing] = answered(
            client.infer(model, inputs, request_compression_algorithm=packing, response_compression_algorithm=packing)
        )
    waiting = [client.async_infer(model, inputs) for _ in range(8)]
    said["eight at once"] = [answered(each.get_result(timeout=60)) for each in waiting]
    client.close()
    return said


def over_grpc(address, model, version, files):
    module = tritonclient.grpc
    with module.InferenceServerClient(address) as client:
        said = common(module, client, model, version, files, {"as_json": True})
        inputs = inputs_of(module, files)
        said["id"] = client.infer(model, inputs, request_id="mine").get_response().id
        for packing in ("gzip", "deflate"):
            said[packing] = answered(client.infer(model, inputs, compression_algorithm=packing))
        told: queue.Queue = queue.Queue()
        for _ in range(8):
            client.async_infer(model, inputs, lambda result, error: told.put(result))
        said["eight at once"] = [answered(told.get(timeout=60)) for _ in range(8)]
    return said


def main(http_address, grpc_address, model, version, folder):
    files = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    said = {
        "http": over_http(http_address, model, version, files),
        "grpc": over_grpc(grpc_address, model, version, files),
    }
    print(json.dumps(said))


main(*sys.argv[1:])
