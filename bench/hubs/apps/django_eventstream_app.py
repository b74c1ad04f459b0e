"""Django with django-eventstream: addresses, views, and the application."""

import json
import os

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "django_settings"
application = get_asgi_application()

# They read the settings when they are imported.
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django_eventstream import send_event  # noqa: E402
from django_eventstream.views import events  # noqa: E402


async def publish(request):
    send_event(request.GET["channel"], "message", json.loads(request.body))
    return HttpResponse(status=204)


async def plain(_):
    return HttpResponse("plain")


urlpatterns = [path("stream", events), path("publish", publish), path("plain", plain)]
