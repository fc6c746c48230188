"""Losses from a Lossmeter service: NumPy in and out.

    from lossmeter_client import Client

    with Client("localhost:8081") as client:
        answer = client.evaluate("huber", predictions=[1.5, 5], targets=[1, 2])
    print(answer.value)  # 1.3125

``Client`` and ``AsyncClient`` speak gRPC, ``HttpClient`` and ``AsyncHttpClient`` REST; all have the
same methods and give the same answers, to the bit. Whatever goes wrong is a ``LossmeterError``.
``merge_states`` and ``State`` join and finish the states of batches without a service.
"""

from lossmeter_client.answers import (
    Answer,
    Answers,
    DialectAnswer,
    Explanation,
    Group,
    LossDescriptor,
    LossInput,
    Step,
    Symbol,
)
from lossmeter_client.errors import (
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidRequest,
    LossmeterError,
    NotFound,
    Overloaded,
    PermissionDenied,
    ResourceExhausted,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from lossmeter_client.exact import ExactSum
from lossmeter_client.finishing import Finished
from lossmeter_client.rest import AsyncHttpClient, HttpClient
from lossmeter_client.rpc import AsyncClient, Client
from lossmeter_client.states import State, merge_states

__all__ = [
    "Answer",
    "Answers",
    "AsyncClient",
    "AsyncHttpClient",
    "Cancelled",
    "Client",
    "DeadlineExceeded",
    "DialectAnswer",
    "ExactSum",
    "Explanation",
    "FailedPrecondition",
    "Finished",
    "Group",
    "HttpClient",
    "Internal",
    "InvalidRequest",
    "LossDescriptor",
    "LossInput",
    "LossmeterError",
    "NotFound",
    "Overloaded",
    "PermissionDenied",
    "ResourceExhausted",
    "State",
    "Step",
    "Symbol",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "merge_states",
]
__version__ = "0.1.0"
