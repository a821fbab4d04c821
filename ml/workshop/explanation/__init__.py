"""Maps as a data scientist wants them: by gradients, held against each other, and as files."""
