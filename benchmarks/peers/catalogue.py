"""Who is measured, and over which wire."""

from dataclasses import dataclass
from functools import partial

from benchmarks.peers import bodies
from benchmarks.peers.wires import Wire, call, flight, http, tcp

OIP = "/inference.GRPCInferenceService/ModelInfer"
OWN = "/lossmeter.v1.LossService"
LOSSMETER = "lossmeter"
FLOOR = "floor"
BARE = {"bare_uvicorn", "bare_granian", "bare_grpcio", "flight"}
TEXT = True
STREAM = True


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table.

    Attributes:
        title: What the table calls it.
        server: Its file and its requirements in servers/, or the service itself.
        wire: How it is asked.
    """

    title: str
    server: str
    wire: Wire


def _protocol(server: str, title: str, model: str, parameters: dict[str, str]) -> list[Row]:
    """The Open Inference Protocol's three wires."""
    path = f"/v2/models/{model}/infer"
    text = partial(bodies.oip_json, parameters=parameters)
    binary = partial(bodies.oip_binary, parameters=parameters)
    tensors = partial(bodies.oip_grpc, model=model, parameters=parameters)
    return [
        Row(f"{title}, OIP JSON", server, http(path, text, bodies.oip_value, TEXT)),
        Row(f"{title}, OIP binary REST", server, http(path, binary, bodies.oip_value)),
        Row(f"{title}, OIP gRPC", server, call(OIP, tensors, bodies.oip_grpc_value)),
    ]


def _lists(server: str, title: str) -> Row:
    """JSON as each likes it: nested lists by name."""
    return Row(f"{title}, JSON", server, http("/loss", bodies.lists, bodies.lists_value, TEXT))


def _bare(server: str, title: str) -> Row:
    return Row(f"{title}, bytes", server, http("/", bodies.bare_body, bodies.bare_value))


def _grpcio() -> list[Row]:
    unary = call("/Bare/Unary", lambda batch: [bodies.bare(batch)], bodies.bare_value)
    stream = call("/Bare/Stream", bodies.bare_stream, bodies.bare_value, STREAM)
    repeated = call("/Bare/Repeated", bodies.repeated_floats, bodies.repeated_value)
    return [
        Row("grpcio, bytes", "bare_grpcio", unary),
        Row("grpcio, stream of 1 MiB", "bare_grpcio", stream),
        Row("grpcio, repeated float", "bare_grpcio", repeated),
    ]


def _lossmeter() -> list[Row]:
    path = f"/v1/evaluate?loss={bodies.LOSS}&reduction={bodies.REDUCTION}"
    stream = f"{OWN}/EvaluateStream"
    wires = {
        "JSON": http("/v1/evaluate", bodies.own_json, bodies.own_value, TEXT),
        "Arrow stream": http(path, bodies.own_arrow, bodies.own_value),
        "gRPC": call(f"{OWN}/Evaluate", bodies.own_grpc, bodies.own_grpc_value),
        "gRPC stream": call(stream, bodies.own_stream, bodies.own_grpc_value, STREAM),
    }
    rows = [Row(f"Lossmeter, {name}", LOSSMETER, wire) for name, wire in wires.items()]
    parameters = {"reduction": bodies.REDUCTION}
    return rows + _protocol(LOSSMETER, "Lossmeter", bodies.LOSS, parameters)


ROWS = [
    Row("floor: TCP and NumPy", FLOOR, tcp()),
    *_lossmeter(),
    _bare("bare_uvicorn", "uvicorn, bare ASGI"),
    _bare("bare_granian", "granian, bare ASGI"),
    *_grpcio(),
    Row("Arrow Flight, do_put", "flight", flight()),
    _lists("naive_fastapi", "FastAPI and pydantic"),
    *_protocol("mlserver", "MLServer", "loss", {})[::2],  # it takes no binary over REST
    *_protocol("kserve", "KServe", "loss", {}),
    _lists("bentoml", "BentoML"),
    _lists("litserve", "LitServe"),
    *_protocol("triton", "Triton", "loss", {}),
]
