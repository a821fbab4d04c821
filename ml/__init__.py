"""Images to pixels to scores: decoding, bundles, runtimes, training. No Django."""
