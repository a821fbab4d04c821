"""Choosing and judging a recipe: searches, cross-validation, repeats by seed, averaged weights."""
