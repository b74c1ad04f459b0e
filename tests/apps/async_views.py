"""Event loops of the application's own beside streams, in whatever way it runs them."""

import asyncio

import anyio
import nest_asyncio
from plain import app, sse

from flask import request


async def passes_time():
    await asyncio.sleep(0.001)
    return "done"


@sse.authorizer
async def authorize(_):
    return await passes_time() == "done"


@app.get("/view")
async def view():
    return await passes_time()


@app.post("/publishing-view")
async def publishing_view():
    await passes_time()
    return sse.publish(request.get_json())


@app.get("/run")
def run():
    return asyncio.run(passes_time())


@app.get("/anyio")
def run_by_anyio():
    return anyio.run(passes_time)


@app.get("/nested")
async def nested():
    nest_asyncio.apply()
    return asyncio.run(passes_time())
