"""Images to pixels to answers: decoding, bundles, runtimes, explanation. No Django.

What trains and judges the networks is in `ml.workshop`.
"""
