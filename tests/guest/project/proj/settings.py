"""Django's settings: one database, one app."""

import os

SECRET_KEY = "not a secret"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3"}}
ROOT_URLCONF = "proj.urls"
USE_TZ = True

CELERY_BROKER_URL = os.environ["SHOP_REDIS_URL"]
CELERY_TASK_IGNORE_RESULT = True
