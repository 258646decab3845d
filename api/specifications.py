"""The two specifications of what is said in public, both made from the catalogue: the `webhooks`
section of OpenAPI 3.1, and AsyncAPI 3.0."""

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse

from api.requests import house
from application.webhooks.catalogue import WEBHOOKS
from application.webhooks.public import SOME_ID, Webhook
from infrastructure.webhooks.messages import message_id

router = APIRouter(tags=["Service"])

HEADERS: dict[str, dict[str, Any]] = {
    "webhook-id": {
        "type": "string",
        "description": "Names the event: the same at every attempt, replay and endpoint.",
        "examples": [message_id(4711, "social.post.created")],
    },
    "webhook-timestamp": {
        "type": "string",
        "pattern": "^[0-9]+$",
        "description": "When this attempt was made, in seconds since 1970; refuse old ones.",
        "examples": ["1772452800"],
    },
    "webhook-signature": {
        "type": "string",
        "description": (
            "Signatures of `id.timestamp.body` by Standard Webhooks 1.0, separated by spaces: `v1`"
            " is HMAC-SHA256 with the endpoint's secret, `v1a` Ed25519. One that fits is enough."
        ),
        "examples": ["v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="],
    },
}

ANSWERS = {
    "2XX": {"description": "Received. Anything else is tried again, ten times over three days."},
    "410": {"description": "Gone: the endpoint is disabled."},
    "429": {"description": "Too much: `Retry-After` is honoured, as it is with 502, 503 and 504."},
}


def describe(app: FastAPI) -> None:
    """Have the application's OpenAPI document say what is said in public."""
    without = app.openapi

    def openapi() -> dict[str, Any]:
        schema: dict[str, Any] = without()
        if "webhooks" not in schema:
            schema["webhooks"] = {name: _receiving(each) for name, each in WEBHOOKS.items()}
            schema.setdefault("components", {}).setdefault("schemas", {}).update(schemas())
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def schemas() -> dict[str, Any]:
    """The payloads, and what they are made of, by the names of their events."""
    named: dict[str, Any] = {}
    for name, webhook in WEBHOOKS.items():
        schema = webhook.payload.model_json_schema(
            mode="serialization", ref_template=f"#/components/schemas/{name}.{{model}}"
        )
        for part, definition in schema.pop("$defs", {}).items():
            named[f"{name}.{part}"] = definition
        named[name] = schema
    return named


def message_schema(webhook: Webhook) -> dict[str, Any]:
    """The whole body of a message."""
    return {
        "type": "object",
        "title": webhook.name,
        "required": ["type", "timestamp", "data", "event", "tenant", "user_id"],
        "properties": {
            "type": {"const": webhook.name},
            "timestamp": {
                "type": "string",
                "format": "date-time",
                "description": "When it happened.",
            },
            "data": {"$ref": f"#/components/schemas/{webhook.name}"},
            "event": {"const": webhook.name, "description": "The same as `type`."},
            "tenant": {"type": "string"},
            "user_id": {
                "type": ["string", "null"],
                "description": "Whose doing it was; null when it was nobody's.",
            },
        },
    }


def example(webhook: Webhook) -> dict[str, Any]:
    """A message that could have been sent."""
    data = webhook.payload.example().model_dump(mode="json")
    return {
        "type": webhook.name,
        "timestamp": "2026-03-02T12:00:00Z",
        "data": data,
        "event": webhook.name,
        "tenant": "demo",
        "user_id": f"usr_{SOME_ID}",
    }


def _receiving(webhook: Webhook) -> dict[str, Any]:
    content = {"schema": message_schema(webhook), "example": example(webhook)}
    return {
        "post": {
            "operationId": f"receive.{webhook.name}",
            "summary": webhook.name,
            "description": webhook.description,
            "tags": ["Webhook events"],
            "security": [],
            "parameters": [
                {
                    "name": name,
                    "in": "header",
                    "required": True,
                    "description": schema["description"],
                    "schema": {k: v for k, v in schema.items() if k != "description"},
                }
                for name, schema in HEADERS.items()
            ],
            "requestBody": {"required": True, "content": {"application/json": content}},
            "responses": ANSWERS,
        }
    }


def asyncapi(public_url: str) -> dict[str, Any]:
    """The AsyncAPI document: https://www.asyncapi.com/docs/reference/specification/v3.0.0"""
    protocol, _, host = public_url.partition("://")
    streamed = [webhook.name for webhook in WEBHOOKS.values() if not webhook.only_subject]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidings",
            "version": "1.0.0",
            "description": (
                "What a company says to its customers and hears from them, as it happens: pushed"
                " to registered endpoints by Standard Webhooks 1.0, or read as a stream."
            ),
        },
        "defaultContentType": "application/json",
        "servers": {"tidings": {"host": host, "protocol": protocol}},
        "channels": {
            "webhooks": {
                "address": None,
                "title": "Webhooks",
                "description": "A POST to the URL of each endpoint that has asked for the event.",
                "messages": {name: _ref("messages", name) for name in WEBHOOKS},
            },
            "stream": {
                "address": "/api/v1/webhooks/stream",
                "title": "Stream",
                "description": (
                    "The same messages as Server-Sent Events; the id is the position in the log,"
                    " and `Last-Event-ID` resumes behind it."
                ),
                "servers": [{"$ref": "#/servers/tidings"}],
                "messages": {name: _ref("messages", name) for name in streamed},
            },
        },
        "operations": {
            "sendWebhook": _sending("webhooks", "Send to an endpoint", list(WEBHOOKS)),
            "streamEvents": _sending("stream", "Send to whoever reads the stream", streamed),
        },
        "components": {
            "messages": {name: _message(webhook) for name, webhook in WEBHOOKS.items()},
            "schemas": schemas(),
        },
    }


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _sending(channel: str, summary: str, names: list[str]) -> dict[str, Any]:
    return {
        "action": "send",
        "summary": summary,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }


def _message(webhook: Webhook) -> dict[str, Any]:
    return {
        "name": webhook.name,
        "title": webhook.name,
        "summary": webhook.description,
        "contentType": "application/json",
        "headers": {"type": "object", "required": list(HEADERS), "properties": HEADERS},
        "payload": message_schema(webhook),
        "examples": [{"name": webhook.name, "payload": example(webhook)}],
    }


@router.get("/asyncapi.json")
async def asyncapi_json(request: Request) -> JSONResponse:
    """The AsyncAPI document."""
    return JSONResponse(asyncapi(house(request).settings.public_url))
