"""Entry points of this checkout: the app with its Celery settings, and the task to call."""
