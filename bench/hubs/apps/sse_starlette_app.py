"""FastAPI with sse-starlette."""

import json

import queues
from fastapi import FastAPI
from sse_starlette import EventSourceResponse

app = FastAPI()


@app.get("/stream")
async def stream(channel: str):
    async def events():
        with queues.listening(channel) as queue:
            while True:
                yield {"data": await queue.get()}

    return EventSourceResponse(events())


@app.post("/publish", status_code=204)
async def publish(event: dict[str, str], channel: str):
    # Encoded once for all clients.
    queues.publish(channel, json.dumps(event))


@app.get("/plain")
async def plain():
    return "plain"
