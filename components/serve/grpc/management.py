"""Triton's index, statistics and configuration extensions over gRPC, beside what KServe's messages know.

KServe's protocol file has no such calls. Their messages are made here from a table with the field numbers of Triton's
``grpc_service.proto`` and ``model_config.proto``, without the fields that are never set.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from components.serve.management import documents
from components.serve.management.documents import IndexRequest
from components.serve.predictor import CountPredictor

PACKAGE = "bincounter.management"
TEXT, WHOLE, COUNT, FLAG = "STRING", "INT64", "UINT64", "BOOL"
DATATYPES = {"TYPE_INVALID": 0, "TYPE_UINT8": 2, "TYPE_INT64": 9, "TYPE_FP32": 11, "TYPE_STRING": 13}
"""Of the tensors that there are."""
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "RepositoryIndexRequest": {"repository_name": (1, TEXT), "ready": (2, FLAG)},
    "ModelIndex": {"name": (1, TEXT), "version": (2, TEXT), "state": (3, TEXT), "reason": (4, TEXT)},
    "RepositoryIndexResponse": {"models": (1, "*ModelIndex")},
    "ModelStatisticsRequest": {"name": (1, TEXT), "version": (2, TEXT)},
    "StatisticDuration": {"count": (1, COUNT), "ns": (2, COUNT)},
    "InferStatistics": {
        "success": (1, ".StatisticDuration"),
        "fail": (2, ".StatisticDuration"),
        "queue": (3, ".StatisticDuration"),
        "compute_input": (4, ".StatisticDuration"),
        "compute_infer": (5, ".StatisticDuration"),
        "compute_output": (6, ".StatisticDuration"),
        "cache_hit": (7, ".StatisticDuration"),
        "cache_miss": (8, ".StatisticDuration"),
    },
    "InferBatchStatistics": {
        "batch_size": (1, COUNT),
        "compute_input": (2, ".StatisticDuration"),
        "compute_infer": (3, ".StatisticDuration"),
        "compute_output": (4, ".StatisticDuration"),
    },
    "ModelStatistics": {
        "name": (1, TEXT),
        "version": (2, TEXT),
        "last_inference": (3, COUNT),
        "inference_count": (4, COUNT),
        "execution_count": (5, COUNT),
        "inference_stats": (6, ".InferStatistics"),
        "batch_stats": (7, "*InferBatchStatistics"),
    },
    "ModelStatisticsResponse": {"model_stats": (1, "*ModelStatistics")},
    "ModelConfigRequest": {"name": (1, TEXT), "version": (2, TEXT)},
    "ModelInput": {
        "name": (1, TEXT),
        "data_type": (2, "DataType"),
        "dims": (4, "*INT64"),
        "optional": (8, FLAG),
    },
    "ModelOutput": {"name": (1, TEXT), "data_type": (2, "DataType"), "dims": (3, "*INT64")},
    "ModelConfig": {
        "name": (1, TEXT),
        "platform": (2, TEXT),
        "max_batch_size": (4, "INT32"),
        "input": (5, "*ModelInput"),
        "output": (6, "*ModelOutput"),
        "backend": (17, TEXT),
    },
    "ModelConfigResponse": {"config": (1, ".ModelConfig")},
}
"""Fields by number and kind: a scalar, ``DataType``, or another message; ``*`` for a list."""

Known = Callable[[str, str, Any], Awaitable[None]]
"""Refuses a call for another model or version."""


def _messages() -> dict[str, Any]:
    field_of = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="bincounter/management.proto", package=PACKAGE, syntax="proto3")
    datatypes = file.enum_type.add(name="DataType")
    for datatype, number in DATATYPES.items():
        datatypes.value.add(name=datatype, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for label, (number, kind) in fields.items():
            field = message.field.add(name=label, number=number)
            field.label = field_of.LABEL_REPEATED if kind.startswith("*") else field_of.LABEL_OPTIONAL
            kind = kind.lstrip("*.")
            if kind == "DataType":
                field.type, field.type_name = field_of.TYPE_ENUM, f".{PACKAGE}.{kind}"
            elif kind in MESSAGES:
                field.type, field.type_name = field_of.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
            else:
                field.type = getattr(field_of, f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES}


def management(model: CountPredictor, known: Known) -> dict[str, grpc.RpcMethodHandler]:
    """The calls that tell of the model, by their names.

    Args:
        model: loaded.
        known: refuses a call for another one.
    """
    made = _messages()

    def answer(name: str, document: dict[str, Any]) -> Any:
        return json_format.ParseDict(document, made[name]())

    async def index(request: Any, context: Any) -> Any:
        models = documents.index(model, IndexRequest(ready=request.ready))
        return answer("RepositoryIndexResponse", {"models": [each.model_dump() for each in models]})

    async def statistics(request: Any, context: Any) -> Any:
        if request.name:
            await known(request.name, request.version, context)
        return answer("ModelStatisticsResponse", documents.statistics(model).model_dump())

    async def config(request: Any, context: Any) -> Any:
        await known(request.name, request.version, context)
        return answer("ModelConfigResponse", {"config": documents.config(model).model_dump()})

    calls = {"RepositoryIndex": index, "ModelStatistics": statistics, "ModelConfig": config}
    return {
        name: grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=made[f"{name}Request"].FromString,
            response_serializer=made[f"{name}Response"].SerializeToString,
        )
        for name, call in calls.items()
    }
