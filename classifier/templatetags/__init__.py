"""What the classifier's templates may ask for."""
