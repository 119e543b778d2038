"""The WSGI entry point. Not ASGI: synchronous Django costs two to three times as much there."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ciduty.settings")
application = get_wsgi_application()
