"""Evaluation: metrics with intervals, the report and its plots."""
