"""What the OpenAPI document says where callers are asked who they are."""

from typing import Any

from fastapi import FastAPI

from lossmeter.access.needs import SCOPES, Need, need_of_path
from lossmeter.transports.rest.schema import Problem

SCHEME = "key or token"
REFUSALS = {
    "401": "Nobody knows who this is",
    "403": "Whoever this is may not do it",
    "429": "More was asked than a second's worth",
}


def document_access(app: FastAPI) -> None:
    """Have the document of an application say what each operation needs."""
    openapi = app.openapi

    def documented() -> dict[str, Any]:
        document = openapi()
        if "securitySchemes" not in document["components"]:
            _secure(document)
        return document

    app.openapi = documented  # type: ignore[method-assign]  # FastAPI's own hook


def _secure(document: dict[str, Any]) -> None:
    document["components"]["securitySchemes"] = {SCHEME: {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            need = need_of_path(verb.upper(), path)
            if need in SCOPES or need is Need.METRICS:
                operation["security"] = [{SCHEME: [need]}]
                for status, description in REFUSALS.items():
                    operation["responses"].setdefault(status, _refusal(description))


def _refusal(description: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}
