"""Stored objects taken apart and written anew for those who ask for them.

Runs in the isolated children (`records.intake.isolation`): no Django, no rows.
"""
