"""Project wiring: settings, urls, API router, Celery, middleware, health and the quickstart."""

from medimaging.celery import app as celery_app

__all__ = ("celery_app",)
