"""KServe's SDK: its inference clients of V1, V2 and gRPC."""

import asyncio
import base64

import httpx
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

from tests.tiny_model import Served, photo

pytestmark = pytest.mark.slow
FILES = [photo(3), photo(5)]


def asked_of(server: Served, raw: bool = True) -> InferRequest:
    images = InferInput("images", [len(FILES)], "BYTES")
    images.set_data_from_numpy(np.array(FILES, np.object_), binary_data=raw)
    return InferRequest(model_name=server.name, infer_inputs=[images], request_id="mine")


def counts(response) -> list[int]:
    return next(output for output in response.outputs if output.name == "count").as_numpy().tolist()


def test_v1(both) -> None:
    server = both.rest

    async def ask() -> None:
        async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
            assert await client.is_server_live(server.url)
            assert await client.is_model_ready(server.url, server.name)
            data = {"instances": [{"image": {"b64": base64.b64encode(file).decode()}} for file in FILES]}
            told = await client.infer(server.url, data, server.name)
            assert [each["count"] for each in told["predictions"]] == [3, 5]
            with pytest.raises(httpx.HTTPStatusError, match="other does not exist"):
                await client.infer(server.url, data, "other")

    asyncio.run(ask())


def test_v2(both) -> None:
    server = both.rest

    async def ask() -> None:
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            assert await client.is_server_live(server.url)
            assert await client.is_server_ready(server.url)
            assert await client.is_model_ready(server.url, server.name)
            assert not await client.is_model_ready(server.url, "other")
            told = await client.infer(server.url, asked_of(server), server.name)
            assert (told.id, counts(told)) == ("mine", [3, 5])

    asyncio.run(ask())


def test_grpc(both) -> None:
    async def ask() -> None:
        async with InferenceGRPCClient(both.grpc) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready(both.rest.name)
            told = await client.infer(asked_of(both.rest))
            assert (told.id, counts(told)) == ("mine", [3, 5])

    asyncio.run(ask())
