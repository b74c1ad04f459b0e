"""Settings of django_eventstream_app."""

ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["django_eventstream"]
ROOT_URLCONF = "django_eventstream_app"
SECRET_KEY = "of the bench"
