"""The Celery driver: the road's steps as tasks, on queues, with a sweep in every worker."""
