"""The usual twenty lines."""

import sys

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from servers.loss import weighted_bce

app = FastAPI()


class Body(BaseModel):
    predictions: list[list[float]]
    targets: list[list[float]]
    sample_weight: list[float]


@app.post("/loss")
def loss(body: Body) -> dict[str, float]:
    arrays = (body.predictions, body.targets, body.sample_weight)
    return {"loss": weighted_bce(*(np.array(x, np.float32) for x in arrays))}


uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
