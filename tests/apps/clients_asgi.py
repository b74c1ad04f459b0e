"""The application of ``streams.py`` with the pages of clients, and events that have a type."""

import os

from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from streams import app, streams


async def send(request):
    data = (await request.body()).decode()
    query = request.query_params
    return PlainTextResponse(
        await streams.publish(data, query.get("type"), channel=query["channel"])
    )


app.router.routes += [
    Mount("/pages", StaticFiles(directory=f"{os.environ['PAGES']}/pages")),
    Mount("/modules", StaticFiles(directory=f"{os.environ['PAGES']}/modules")),
    Route("/send", send, methods=["POST"]),
]
