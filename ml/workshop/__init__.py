"""Where models are made: data, training, evaluation, export, and the commands for all of it.

The product imports nothing of it, and nothing else in `ml` does.
"""
