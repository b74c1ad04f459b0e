"""An application whose middleware was added after that for CORS, as most people do."""

from fastapi import FastAPI
from starlette.responses import HTMLResponse, PlainTextResponse

from heliograph.asgi import CORSMiddleware
from heliograph.cors import CorsPolicy

app = FastAPI()
app.add_middleware(
    CORSMiddleware,
    policy=CorsPolicy(origins="http://localhost:*", allow_headers="Authorization"),
)


@app.middleware("http")
async def guard(request, call_next):
    if request.url.path == "/page":
        return HTMLResponse("<!doctype html><link rel=icon href='data:,'>")
    if request.url.path == "/crash":
        raise LookupError("crash")
    if request.headers.get("authorization") != "secret":
        return PlainTextResponse("log in first", status_code=401)
    return await call_next(request)


@app.get("/data")
async def data():
    return PlainTextResponse("data")
