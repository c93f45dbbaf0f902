"""What gunicorn serves. With `--preload` this runs before the fork, and already submits."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
application = get_wsgi_application()

from shop.views import submit  # noqa: E402 - Django first

submit(f"before the fork, {os.environ['SHOP_IMPORTS_FIRST']} first")
