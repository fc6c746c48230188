"""The FastAPI application: catalogue, health and the OpenAPI document."""

import re
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Path, Request, Response
from fastapi.openapi.utils import get_openapi
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from lossmeter import __version__
from lossmeter.access.control import Access
from lossmeter.app.engine import Engine
from lossmeter.catalog.descriptors import find_descriptor
from lossmeter.catalog.search import Query, find_descriptors
from lossmeter.errors import (
    LossmeterError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    UnknownField,
)
from lossmeter.plan.request import ExportSpec, read
from lossmeter.settings import Settings
from lossmeter.transports.metrics import Metrics
from lossmeter.transports.oip.inferences import Inferences
from lossmeter.transports.oip.rest import endpoint as inference_endpoint
from lossmeter.transports.oip.rest import is_inference
from lossmeter.transports.oip.routes import BODIES
from lossmeter.transports.oip.routes import routes as inference_routes
from lossmeter.transports.rest import schema
from lossmeter.transports.rest.documented import document_access
from lossmeter.transports.rest.evaluation import (
    answer_evaluation,
    answer_explanation,
    answer_merge,
    endpoints,
)
from lossmeter.transports.rest.exchange import TIMEOUT, Endpoint, Limits
from lossmeter.transports.rest.front import Front
from lossmeter.transports.rest.gate import Gate
from lossmeter.transports.rest.origins import with_origins
from lossmeter.transports.rest.problems import problem
from lossmeter.wire.forms import OF_MEDIA
from lossmeter.wire.json import read_export
from lossmeter.wire.values import WRITERS

DESCRIPTION = """One loss, one number: send predictions and targets, get the loss.

Tensors are nested lists, `{"dtype", "data"}`, or `{"dtype", "shape", "base64"}`; or the body is
tensors itself, as Arrow, Parquet, npz, safetensors or CSV. Errors are RFC 9457 problem documents
with `reason` and `field`."""
NOT_FOUND, NOT_ALLOWED = 404, 405
ONNX = "application/octet-stream"
BINARY = {"schema": {"type": "string", "format": "binary"}}
REF = "#/components/schemas/{model}"
IN_TIME = {
    "name": TIMEOUT,
    "in": "header",
    "description": "Seconds after which the answer is of no use; the work then stops.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}
PROBLEMS = {
    400: "The request is wrong",
    404: "No loss has this name",
    409: "The states do not belong together",
    413: "Too large",
    415: "A media type or encoding that is not known",
    422: "A kept value is not finite, and that was to be an error",
    504: "Nothing came of the body for too long",
}


def create_app(
    engine: Engine,
    settings: Settings,
    inferences: Inferences | None = None,
    metrics: Metrics | None = None,
    access: Access | None = None,
) -> ASGIApp:
    """REST, complete: the short way in before FastAPI, and who may take it."""
    hot, metrics = endpoints(engine), metrics or Metrics()
    inferences = inferences or Inferences(engine, settings, metrics)
    infer = inference_endpoint(inferences)

    def route(verb: str, path: str) -> Endpoint | None:
        return hot.get((verb, path)) or (infer if is_inference(verb, path) else None)

    rest = create_rest(engine, inferences, metrics)
    gate = None
    if access is not None:
        gate = Gate(access)
        document_access(rest)
    seconds = settings.request_seconds
    front = Front(route, rest, Limits.of(settings), metrics, most_seconds=seconds, gate=gate)
    return with_origins(front, settings.cors_origins)


def create_rest(engine: Engine, inferences: Inferences, metrics: Metrics) -> FastAPI:
    """The FastAPI application alone."""
    app = FastAPI(
        title="Lossmeter",
        version=__version__,
        description=DESCRIPTION,
        redirect_slashes=False,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    _add_health(app, metrics)
    _add_catalogue(app)
    _add_evaluation(app, engine)
    app.include_router(inference_routes(inferences))
    _add_errors(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's own hook
    return app


def _add_health(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/livez", tags=["health"])
    async def livez() -> schema.Alive:
        """Whether the process runs."""
        return schema.Alive()

    @app.get("/readyz", tags=["health"])
    async def readyz() -> schema.Ready:
        """Whether requests are taken."""
        return schema.Ready()

    @app.get(
        "/metrics",
        tags=["health"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    def scrape() -> Response:
        """What is counted, over all workers, in the text format of Prometheus."""
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})


def _add_catalogue(app: FastAPI) -> None:
    @app.get(
        "/v1/losses",
        tags=["catalogue"],
        response_model=schema.LossList,
        responses=_problems(400),
        openapi_extra={"parameters": _parameters(Query)},
    )
    async def list_losses(request: Request) -> Response:
        """Every loss, or those asked for: inputs, parameters, formula, symbols, examples."""
        return _json(orjson.dumps({"losses": find_descriptors(_query(request))}))

    @app.get("/v1/losses/{name}", tags=["catalogue"], responses=_problems(400, 404))
    async def get_loss(
        request: Request,
        name: Annotated[str, Path(description="Canonical name or symbol.", examples=["huber"])],
    ) -> dict[str, Any]:
        """One loss, by canonical name, alias or symbol."""
        for field in request.query_params:
            raise UnknownField("this path takes no query", field=field)
        return dict(find_descriptor(name))

    @app.get(
        "/v1/losses/{name}/onnx",
        tags=["catalogue"],
        response_class=Response,
        responses={200: {"content": {ONNX: BINARY}}, **_problems(400, 404, 413)},
        openapi_extra={"parameters": _parameters(ExportSpec)},
    )
    def export_loss(
        request: Request,
        name: Annotated[str, Path(description="Canonical name or symbol.", examples=["huber"])],
    ) -> Response:
        """The loss as an ONNX graph, with weights, mask and reduction inside."""
        from lossmeter.app.export.model import exported  # noqa: PLC0415 slow, needed by few

        model = exported(name, read_export(_asked(request)))
        headers = {"content-disposition": f'attachment; filename="{_file_name(name)}"'}
        return Response(model, media_type=ONNX, headers=headers)


def _add_evaluation(app: FastAPI, engine: Engine) -> None:
    # Front answers these before FastAPI sees them; here they are documented, and served to
    # whoever mounts this application without it.
    @app.post(
        "/v1/evaluate",
        tags=["evaluation"],
        response_model=schema.Evaluation | schema.Evaluations,
        responses={
            200: {"content": dict.fromkeys(WRITERS, BINARY)},
            **_problems(400, 404, 413, 415, 422, 504),
        },
        openapi_extra=_tensors_too(_body("EvaluateBody", schema.EVALUATE_EXAMPLES)),
    )
    async def evaluate(request: Request) -> Response:
        """Evaluate one loss, or several over shared tensors, on one batch."""
        return _json(answer_evaluation(engine, await request.body()))

    @app.post(
        "/v1/explain",
        tags=["evaluation"],
        response_model=schema.Explanation | schema.Explanations,
        responses=_problems(400, 404, 413, 415, 422, 504),
        openapi_extra=_tensors_too(_body("EvaluateBody", schema.EVALUATE_EXAMPLES)),
    )
    async def explain(request: Request) -> Response:
        """Evaluate step by step, with what every other framework says of the same data."""
        return _json(answer_explanation(engine, await request.body()))

    @app.post(
        "/v1/states:merge",
        tags=["evaluation"],
        response_model=schema.Evaluation,
        responses=_problems(400, 409, 413, 415, 504),
        openapi_extra=_body("MergeBody", {}),
    )
    async def merge(request: Request) -> Response:
        """Finish states made apart, as if their batches had been one."""
        return _json(answer_merge(engine, await request.body()))


def _file_name(name: str) -> str:
    """A loss's file: what is known as a loss has letters, digits, dots and underscores alone."""
    return f"{re.sub('[^A-Za-z0-9._]', '_', name)}.onnx"


def _query(request: Request) -> Query:
    return read(Query, _asked(request))


def _asked(request: Request) -> dict[str, str]:
    """The fields of the query.

    Raises:
        MalformedRequest: One is there twice.
    """
    asked: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in asked:
            raise MalformedRequest("give each field of the query once", field=name)
        asked[name] = value
    return asked


def _parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The fields of a query, as OpenAPI has them; those that are objects are JSON."""
    return [
        {"name": name, "in": "query", "description": field.pop("description"), **_form(field)}
        for name, field in model.model_json_schema()["properties"].items()
    ]


def _form(field: dict[str, Any]) -> dict[str, Any]:
    kinds = [one.get("type", "object") for one in field.get("anyOf", [field])]
    if kinds == ["object"]:
        return {"content": {"application/json": {"schema": {"type": "object"}}}}
    if "object" in kinds:
        return {"schema": {"type": "string"}}
    return {"schema": field}


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {s: {"model": schema.Problem, "description": PROBLEMS[s]} for s in statuses}


def _body(model: str, examples: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": REF.format(model=model)}}
    if examples:
        content["examples"] = examples
    body = {"required": True, "content": {"application/json": content}}
    return {"requestBody": body, "parameters": [IN_TIME]}


def _tensors_too(operation: dict[str, Any]) -> dict[str, Any]:
    """An operation whose body may be tensors, with what the query then says."""
    content = operation["requestBody"]["content"] | dict.fromkeys(OF_MEDIA, BINARY)
    body = operation["requestBody"] | {"content": content}
    return {
        **operation,
        "requestBody": body,
        "parameters": [*operation["parameters"], *_parameters(schema.TensorQuery)],
    }


def _add_errors(app: FastAPI) -> None:
    async def ours(request: Request, error: Exception) -> Response:
        status, headers, body = problem(error, request.headers.get("accept", ""))
        return Response(body, status, headers)

    async def starlettes(request: Request, error: Exception) -> Response:
        response = await ours(request, _as_ours(error))
        allow = getattr(error, "headers", None) or {}
        response.headers.update({k: v for k, v in allow.items() if k.lower() == "allow"})
        return response

    app.add_exception_handler(LossmeterError, ours)
    app.add_exception_handler(HTTPException, starlettes)
    app.add_exception_handler(Exception, ours)


def _as_ours(error: Exception) -> Exception:
    status = error.status_code if isinstance(error, HTTPException) else None
    if status == NOT_FOUND:
        return NotFound("no such path; /openapi.json lists them")
    if status == NOT_ALLOWED:
        return MethodNotAllowed("the path does not take this verb; see the Allow header")
    return error


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The document, with the models of bodies that FastAPI does not read itself."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            license_info=app.license_info,
        )
        _, bodies = models_json_schema(
            [(body, "validation") for body in (schema.EvaluateBody, schema.MergeBody, *BODIES)],
            ref_template=REF,
        )
        document["components"]["schemas"] |= bodies["$defs"]
        _forget_validation(document)
        app.openapi_schema = document
    return app.openapi_schema


def _forget_validation(document: dict[str, Any]) -> None:
    """Leave out the answer that FastAPI adds to paths with a name in them, and never gives."""
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operation in (one for path in document["paths"].values() for one in path.values()):
        if "HTTPValidationError" in str(operation["responses"].get("422")):
            del operation["responses"]["422"]
