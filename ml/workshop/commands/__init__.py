"""The commands of `python -m ml`, a module each: SUMMARY, `add_options` and `run`.

Modules are imported for their help, so heavy libraries are imported inside `run`.
"""
