"""What the servers of ours do without a framework and without Heliograph: their own limit."""


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        for state in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{state}.complete"})
        return
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"plain"})


def wsgi(environ, start_response):  # noqa: ARG001 - PEP 3333
    start_response("200 OK", [("Content-Length", "5")])
    return [b"plain"]
