"""Settings of the service, from flags or LOSSMETER_* variables."""

from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 2**20


class Settings(BaseSettings):
    """What an operator can set."""

    model_config = SettingsConfigDict(env_prefix="LOSSMETER_", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    http_port: int = Field(8080, ge=0, le=65535, description="Port of REST; 0 takes a free one.")
    grpc_port: int = Field(8081, ge=0, le=65535, description="Port of gRPC; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=256, description="Processes on the same ports.")
    backend: Literal["numpy", "onnx"] = Field("numpy", description="What computes loss values.")
    device: Literal["cpu", "cuda", "auto"] = Field(
        "cpu", description="Where they are computed; auto takes a GPU where there is one."
    )
    losses: str = Field(
        "", description="Folder of ONNX graphs, each a loss by the name of its file."
    )
    graph_seconds: float = Field(
        10.0, gt=0, le=600, description="Time for a graph to load, and to evaluate a block."
    )
    graph_memory_bytes: int = Field(
        2048 * MIB, ge=1, description="Memory that a graph may take in its process."
    )
    max_body_bytes: int = Field(1024 * MIB, ge=1, description="Largest body of a REST request.")
    max_stream_bytes: int = Field(
        2**40, ge=1, description="Largest body that is computed while it arrives."
    )
    max_unfolded_bytes: int = Field(
        1024 * MIB, ge=1, description="Most that a body unfolds to, of gzip, zstd or columns."
    )
    max_message_bytes: int = Field(
        1024 * MIB, ge=1, le=2**31 - 1, description="Largest message of a gRPC call."
    )
    grpc_threads: int = Field(32, ge=1, description="gRPC calls at a time, besides streams.")
    max_streams: int = Field(64, ge=1, description="gRPC streams at a time; more are refused.")
    stream_idle_seconds: float = Field(
        60.0, gt=0, description="Time in which something of a body or of a gRPC stream must come."
    )
    request_seconds: float = Field(
        0.0, ge=0, description="Longest that a request may take; 0 for no limit."
    )
    grace_seconds: float = Field(30.0, ge=0, description="Time to finish calls when stopping.")
    expressions: dict[str, Any] = Field(
        default_factory=dict,
        description='Losses of your own by name, as JSON: {"NAME": {"expression": ..., '
        '"params": defaults, "summary": ...}}.',
    )
    shared_memory: bool = Field(
        False,
        description="Take tensors from shared memory of this host, of the service's own user.",
    )
    shared_memory_prefix: str = Field(
        "lossmeter",
        pattern="^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$",
        description="What the names of that memory begin with.",
    )
    open_to_all: bool = Field(
        False,
        description="Listen where other machines reach the service even if it asks for no key, "
        "token or certificate: whoever reaches it may then use it.",
    )
    tls_certificate: str = Field(
        "", description="PEM file of the certificate and its chain; both ports then speak TLS."
    )
    tls_key: str = Field("", description="PEM file of the certificate's key.")
    tls_client_authority: str = Field(
        "", description="PEM file of the authorities whose certificates callers must show."
    )
    tls_client_scopes: str = Field(
        "evaluate read",
        pattern="^(evaluate|read|admin)( (evaluate|read|admin))*$",
        description="What a client certificate allows where no key or token is asked for.",
    )
    keys_file: str = Field(
        "",
        description="JSON file of API keys, as lossmeter new-key makes them.",
    )
    keys: str = Field("", description="API keys, as JSON.")
    jwt_keys: str = Field(
        "", description="File or https URL of the JSON Web Key Set that tokens are checked by."
    )
    jwt_secret: SecretStr = Field(
        SecretStr(""), description="What tokens of HS256 are signed with: a variable alone."
    )
    jwt_secret_file: str = Field(
        "", description="File of what tokens of HS256 are signed with; or LOSSMETER_JWT_SECRET."
    )
    jwt_issuer: str = Field("", description="Issuer (iss) of the tokens that are taken.")
    jwt_audience: str = Field("", description="Audience (aud) of the tokens that are taken.")
    rate_requests: float = Field(
        0.0, ge=0, description="Requests a second of each principal, in each worker; 0 for any."
    )
    rate_bytes: float = Field(
        0.0, ge=0, description="Bytes a second of each principal, in each worker; 0 for any."
    )
    metrics_access: Literal["auto", "open", "read"] = Field(
        "auto",
        description="Whether /metrics needs the scope read; auto asks for it where other machines "
        "reach the service.",
    )
    cors_origins: str = Field(
        "", description="Origins whose pages may ask over REST, with spaces between; * for all."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe messages to log."
    )
