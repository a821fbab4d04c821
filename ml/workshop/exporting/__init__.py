"""From a trained network to a bundle: artefacts, calibration, parity, evaluation, model card."""
