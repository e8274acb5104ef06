"""The Celery task and request classes, the beat schedule, maintenance and the clock that workers share."""
