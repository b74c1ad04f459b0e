"""FastAPI with Heliograph."""

import contextlib
import json
import os

from fastapi import FastAPI

from heliograph import HubConfig
from heliograph.asgi import EventStreams

settings = json.loads(os.environ["SETTINGS"])
streams = EventStreams(
    os.environ["URL"],
    take_over=settings.pop("take_over", True),
    config=HubConfig(**settings),
)


@contextlib.asynccontextmanager
async def lifespan(_):
    async with streams:
        yield


app = FastAPI(lifespan=lifespan)
app.add_route("/stream", streams)


@app.post("/publish", status_code=204)
async def publish(event: dict[str, str], channel: str):
    await streams.publish(event, channel=channel)


@app.post("/plain", status_code=204)
async def plain_post(event: dict[str, str], channel: str):
    """Do what publish does, without publishing."""


@app.get("/plain")
async def plain():
    return "plain"
