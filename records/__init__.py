"""Patients, studies, series, instances, and every door through which images come in."""
