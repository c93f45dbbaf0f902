"""Settings of another app of this project, which listens elsewhere."""

OWNER = "the shop"
broker_url = "redis://127.0.0.1:1/1"
task_default_queue = "shop"
