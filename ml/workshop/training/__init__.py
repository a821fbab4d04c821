"""Training: augmentation, batches, the network and the loop. Needs the `train` requirements."""
