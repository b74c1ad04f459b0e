"""FastAPI with its own SSE."""

import json
from collections.abc import AsyncIterable

import queues
from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent

app = FastAPI()


@app.get("/stream", response_class=EventSourceResponse)
async def stream(channel: str) -> AsyncIterable[ServerSentEvent]:
    with queues.listening(channel) as queue:
        while True:
            yield await queue.get()


@app.post("/publish", status_code=204)
async def publish(event: dict[str, str], channel: str):
    # Encoded and built once for all clients.
    queues.publish(channel, ServerSentEvent(raw_data=json.dumps(event)))


@app.get("/plain")
async def plain():
    return "plain"
