"""What both protocols tell of the server and its one model: Triton's index, statistics and configuration extensions.

The documents have the names that Triton's clients read, over REST and gRPC alike (triton-inference-server/server,
docs/protocol). Nobody loads or unloads a model. What is not measured is 0, since clients read
every duration.
"""

from typing import Literal

from pydantic import BaseModel

import components
from components.serve.monitoring.statistics import Times
from components.serve.predictor import CountPredictor
from components.serve.requests import RequestError

SERVER_NAME = "bin-counter"
EXTENSIONS = ["binary_tensor_data", "model_configuration", "statistics"]


class Server(BaseModel):
    """The server's name and version."""

    name: str
    version: str
    extensions: list[str]


class IndexRequest(BaseModel):
    """Which models to list."""

    repository_name: str = ""
    ready: bool = False
    """Only those that are ready."""


class ModelIndex(BaseModel):
    """One model of the repository."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class Duration(BaseModel):
    """How often, and how long together."""

    count: int
    ns: int

    @classmethod
    def of(cls, *parts: Times) -> "Duration":
        """The sum of the parts."""
        return cls(count=sum(part.count for part in parts), ns=sum(part.ns for part in parts))


NOT_MEASURED = Duration(count=0, ns=0)


class InferStatistics(BaseModel):
    """Requests that were answered and refused, and the network's part in them.

    queue, compute_input and compute_output are not measured and always 0; so are cache_hit and cache_miss: there is no
    cache.
    """

    success: Duration
    fail: Duration
    queue: Duration = NOT_MEASURED
    compute_input: Duration = NOT_MEASURED
    compute_infer: Duration
    compute_output: Duration = NOT_MEASURED
    cache_hit: Duration = NOT_MEASURED
    cache_miss: Duration = NOT_MEASURED


class BatchStatistics(BaseModel):
    """Runs of the network with one number of photos; compute_input and compute_output are not measured and always 0."""

    batch_size: int
    compute_input: Duration = NOT_MEASURED
    compute_infer: Duration
    compute_output: Duration = NOT_MEASURED


class ModelStatistics(BaseModel):
    """Of one model, since the server began."""

    name: str
    version: str
    last_inference: int
    """Milliseconds since 1970; 0 for never."""
    inference_count: int
    """Photos that were answered."""
    execution_count: int
    """Runs of the network."""
    inference_stats: InferStatistics
    batch_stats: list[BatchStatistics]


class AllStatistics(BaseModel):
    """Of every model."""

    model_stats: list[ModelStatistics]


class ModelInput(BaseModel):
    """A tensor that a request may hold."""

    name: str
    data_type: str
    dims: list[int]
    optional: bool


class ModelOutput(BaseModel):
    """A tensor of an answer."""

    name: str
    data_type: str
    dims: list[int]


class ModelConfig(BaseModel):
    """How the model is served, in the words of Triton's model configuration."""

    name: str
    platform: str
    backend: str
    max_batch_size: Literal[0] = 0
    """0: the first dimension of ``dims`` is the number of photos."""
    input: list[ModelInput]
    output: list[ModelOutput]


def check_known(model: CountPredictor, name: str, version: str | None) -> None:
    """Refuses a request for another model or version; none given is the one that is served.

    Raises:
        RequestError: 404.
    """
    if name != model.name:
        raise RequestError(f"there is no model {name[:80]}; {model.name} is served", status=404)
    if version not in (None, "", model.bundle.version):
        raise RequestError(f"there is no version {str(version)[:80]}; {model.bundle.version} is served", status=404)


def server() -> Server:
    """What answers."""
    return Server(name=SERVER_NAME, version=components.__version__, extensions=EXTENSIONS)


def index(model: CountPredictor, asked: IndexRequest) -> list[ModelIndex]:
    """The models that there are: one."""
    if asked.ready and not model.ready:
        return []
    name, version = model.name, model.bundle.version
    if model.ready:
        return [ModelIndex(name=name, version=version, state="READY", reason="")]
    return [ModelIndex(name=name, version=version, state="UNAVAILABLE", reason="the server is ending")]


def statistics(model: CountPredictor) -> AllStatistics:
    """What the model has done."""
    seen = model.statistics
    runs = seen.runs_by_size()
    of_network = Duration.of(*runs.values())
    return AllStatistics(
        model_stats=[
            ModelStatistics(
                name=model.name,
                version=model.bundle.version,
                last_inference=seen.last_ms,
                inference_count=seen.photos,
                execution_count=of_network.count,
                inference_stats=InferStatistics(
                    success=Duration.of(seen.answered), fail=Duration.of(seen.refused), compute_infer=of_network
                ),
                batch_stats=[
                    BatchStatistics(batch_size=size, compute_infer=Duration.of(times)) for size, times in runs.items()
                ],
            )
        ]
    )


def config(model: CountPredictor) -> ModelConfig:
    """How the model is served."""
    return ModelConfig(
        name=model.name,
        platform=model.platform,
        backend=model.engine.name,
        input=[
            ModelInput(
                name=each["name"],
                data_type=_type(each["datatype"]),
                dims=each["shape"],
                optional=True,  # files or pixels; the others when they are known
            )
            for each in model.get_input_types()
        ],
        output=[
            ModelOutput(name=each["name"], data_type=_type(each["datatype"]), dims=each["shape"])
            for each in model.get_output_types()
        ],
    )


def _type(datatype: str) -> str:
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
