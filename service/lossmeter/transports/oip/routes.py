"""The protocol over REST but for inferences, which are documented here and answered before."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from lossmeter.errors import MalformedRequest, MethodNotAllowed, TooLarge, UnknownField
from lossmeter.transports.oip import models, schema
from lossmeter.transports.oip.inferences import Inferences
from lossmeter.transports.oip.rest import BINARY, LENGTH, endpoint
from lossmeter.transports.rest.exchange import JSON, Body
from lossmeter.transports.rest.exchange import Request as Asked
from lossmeter.transports.rest.problems import problem
from lossmeter.transports.rest.schema import Problem
from lossmeter.wire.text import Json, parse

MOST_BYTES = 64 * 1024
Model = Annotated[str, Path(description="Canonical name or symbol.", examples=["huber"])]
Version = Annotated[str, Path(description="1, the only one.", examples=["1"])]
Region = Annotated[str, Path(description="What requests call it.")]
# Bodies that FastAPI does not read itself, to be added to the document.
BODIES = (schema.InferRequest, schema.IndexQuery, schema.RegionQuery)


def routes(inferences: Inferences) -> APIRouter:
    """All of /v2."""
    router = APIRouter(prefix="/v2", tags=["inference protocol"])
    _add_health(router)
    _add_statistics(router, inferences)  # before the models: none is called stats
    _add_models(router, inferences)
    _add_inference(router, inferences)
    _add_repository(router)
    _add_shared_memory(router, inferences)
    return router


def _add_health(router: APIRouter) -> None:
    @router.get("/health/live")
    async def server_live() -> schema.Live:
        """Whether the process runs."""
        return schema.Live(live=True)

    @router.get("/health/ready")
    async def server_ready() -> schema.Ready:
        """Whether requests are taken."""
        return schema.Ready(ready=True)


def _add_models(router: APIRouter, inferences: Inferences) -> None:
    @router.get("", response_model=schema.ServerMetadata)
    async def server_metadata() -> Any:
        """Name, version and extensions of the service."""
        return models.server(inferences.extensions)

    @router.get("/models", response_model=schema.Models)
    async def model_list() -> Any:
        """The names of all losses and symbols."""
        return {"models": [one["name"] for one in models.index()]}

    def ready(name: str, version: str) -> Any:
        models.check(name, version)
        return {"name": name, "ready": True}

    _of_model(router, "", models.metadata, schema.ModelMetadata, "Inputs and outputs of a loss.")
    _of_model(router, "/ready", ready, schema.ModelIsReady, "Whether there is such a loss.")
    _of_model(
        router,
        "/config",
        models.config,
        schema.ModelConfig,
        "Inputs and outputs of a loss, in the words of a configuration.",
    )


def _of_model(
    router: APIRouter,
    path: str,
    answer: Callable[[str, str], Any],
    shape: type[BaseModel],
    description: str,
) -> None:
    """What is asked of a loss, with its version or without."""
    told: dict[str, Any] = {
        "response_model": shape,
        "responses": _problems(404),
        "description": description,
    }

    @router.get(f"/models/{{model}}{path}", **told)
    async def of_model(model: Model) -> Any:
        return answer(model, "")

    @router.get(f"/models/{{model}}/versions/{{version}}{path}", **told)
    async def of_version(model: Model, version: Version) -> Any:
        return answer(model, version)


def _add_statistics(router: APIRouter, inferences: Inferences) -> None:
    @router.get("/models/stats", response_model=schema.Statistics)
    async def statistics() -> Any:
        """How many inferences of each loss were answered and refused, and how long they took."""
        return models.statistics("", "", inferences.metrics.of_losses())

    def of_loss(name: str, version: str) -> Any:
        return models.statistics(name, version, inferences.metrics.of_losses())

    _of_model(router, "/stats", of_loss, schema.Statistics, "The inferences of a loss.")


def _add_inference(router: APIRouter, inferences: Inferences) -> None:
    # Front answers these before FastAPI sees them; here they are documented, and served to
    # whoever mounts this application without it.
    told: dict[str, Any] = {
        "response_model": schema.InferResponse,
        "responses": {
            200: {"content": {BINARY: {"schema": {"type": "string", "format": "binary"}}}},
            **_problems(400, 404, 413, 415, 422),
        },
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "description": f"JSON; or JSON and the tensors' bytes after it, with {LENGTH}.",
                "content": {
                    JSON: {"schema": _ref(schema.InferRequest)},
                    BINARY: {"schema": {"type": "string", "format": "binary"}},
                },
            },
            "parameters": [
                {
                    "name": LENGTH,
                    "in": "header",
                    "description": "Number of bytes of JSON, where tensors follow it.",
                    "schema": {"type": "integer"},
                }
            ],
        },
    }

    @router.post("/models/{model}/infer", **told)
    async def infer(request: Request, model: Model) -> Response:
        """Evaluate a loss on one batch."""
        return await _answered(inferences, request)

    @router.post("/models/{model}/versions/{version}/infer", **told)
    async def infer_version(request: Request, model: Model, version: Version) -> Response:
        """Evaluate a loss on one batch."""
        return await _answered(inferences, request)


async def _answered(inferences: Inferences, request: Request) -> Response:
    body = Body(request.receive, inferences.limits, request.headers)
    path, query = request.url.path, request.url.query.encode()
    reply = await endpoint(inferences)(Asked(path, query, request.headers, body))
    return Response(reply.body, reply.status, dict(reply.fields))


def _add_repository(router: APIRouter) -> None:
    @router.post(
        "/repository/index",
        response_model=list[schema.IndexEntry],
        responses=_problems(400),
        openapi_extra=_body(schema.IndexQuery, required=False),
    )
    async def index(request: Request) -> Any:
        """Every loss and symbol."""
        if not isinstance((await _fields(request)).get("ready", False), bool):
            raise MalformedRequest("ready is a boolean", field="ready")
        return models.index()

    @router.post("/repository/models/{model}/load", responses=_problems(400, 404, 405))
    async def load(request: Request, model: Model) -> Response:
        """Succeed where there is such a loss: all are loaded."""
        parameters = (await _fields(request)).get("parameters")
        return _unless(request, lambda: models.load(model, parameters or {}))

    @router.post("/repository/models/{model}/unload", responses=_problems(404, 405))
    async def unload(request: Request, model: Model) -> Response:
        """Refused: losses come with the service."""
        return _unless(request, lambda: models.unload(model))


def _unless(request: Request, act: Callable[[], None]) -> Response:
    """Nothing, or that the place takes no verb, with the header that must go with that."""
    try:
        act()
    except MethodNotAllowed as error:
        status, fields, body = problem(error, request.headers.get("accept", ""))
        return Response(body, status, {**fields, "allow": ""})
    return _nothing()


def _add_shared_memory(router: APIRouter, inferences: Inferences) -> None:
    memory, path = inferences.memory, "/systemsharedmemory"

    @router.get(f"{path}/status", response_model=list[schema.Region], responses=_problems(404))
    async def regions() -> Any:
        """The regions of shared memory that are registered."""
        return memory.status("")

    @router.get(
        f"{path}/region/{{region}}/status",
        response_model=list[schema.Region],
        responses=_problems(404),
    )
    async def region_status(region: Region) -> Any:
        """A region of shared memory."""
        return memory.status(region)

    @router.post(
        f"{path}/region/{{region}}/register",
        responses=_problems(400, 404, 413),
        openapi_extra=_body(schema.RegionQuery),
    )
    async def register(request: Request, region: Region) -> Response:
        """Register a region of shared memory, if the service is set to take any."""
        fields = await _fields(request)
        for name in fields.keys() - schema.RegionQuery.model_fields:
            raise UnknownField("a region has key, offset and byte_size", field=name)
        memory.register(region, fields.get("key"), fields.get("offset", 0), fields.get("byte_size"))
        return _nothing()

    @router.post(f"{path}/unregister", responses=_problems(404))
    async def unregister_all() -> Response:
        """Forget all regions of shared memory."""
        memory.unregister("")
        return _nothing()

    @router.post(f"{path}/region/{{region}}/unregister", responses=_problems(404))
    async def unregister(region: Region) -> Response:
        """Forget a region of shared memory."""
        memory.unregister(region)
        return _nothing()


async def _fields(request: Request) -> Json:
    """The object in a body, which may be absent.

    Raises:
        TooLarge: It is longer than such a body can be.
        MalformedRequest: It is no object.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise TooLarge("the body is too large", limit=MOST_BYTES, actual=len(body))
    return parse(body) if body else {}


def _nothing() -> Response:
    return Response(b"{}", media_type=JSON)


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {s: {"model": Problem, "description": HTTPStatus(s).phrase} for s in statuses}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _body(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    content = {JSON: {"schema": _ref(model)}}
    return {"requestBody": {"required": required, "content": content}}
