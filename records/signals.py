"""The project's one signal of its own."""

from django.dispatch import Signal

study_completed = Signal()
"""A study is whole. Sent with `study` and `actor` (a user, or None for the system)
inside the transaction that completed it, so that what listens commits with it."""
