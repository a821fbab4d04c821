"""Entry point of `python -m ml`."""

import sys

from ml.workshop.cli import main

sys.exit(main())
