"""An application with a header that HTTP cannot carry."""

from plain import app


@app.after_request
def name(response):
    if response.mimetype == "text/event-stream":
        response.headers["X-Name"] = "Łukasz"
    return response
