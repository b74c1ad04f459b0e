"""FastAPI with Heliograph."""

import asyncio
import contextlib
import json
import os

from fastapi import FastAPI
from pace import event, pauses
from starlette.responses import Response

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


async def publish(request):
    """Publish what is posted, as hubs do that are no framework: nothing is validated."""
    data = (await request.body()).decode()
    await streams.publish(data, channel=request.query_params["channel"])
    return Response(status_code=204)


app.add_route("/publish", publish, methods=["POST"])


@app.post("/within", status_code=204)
async def publish_within(first: int, rate: float, seconds: float):
    """Publish from here, and not for a request each."""
    for number, pause in enumerate(pauses(rate, seconds), first):
        await asyncio.sleep(pause)
        await streams.publish(event(number), channel="a")


@app.post("/validated/publish", status_code=204)
async def publish_validated(data: dict[str, str], channel: str):
    await streams.publish(data, channel=channel)


@app.post("/validated/plain", status_code=204)
async def plain_post(data: dict[str, str], channel: str):
    """Do what publish does, without publishing."""


@app.get("/plain")
async def plain():
    return "plain"
