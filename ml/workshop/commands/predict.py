"""`python -m ml predict`: classify files; needs the base install only, no TensorFlow.

Prints one line for each file, in the order given, each as soon as it is known: a JSON object with
the answer, with why there is none (an abstention), or with why the file can't be read (an error).
Each file is a study of its own. Takes DICOM, PNG, JPEG, WebP and TIFF, told apart by content.
"""

import argparse
import json
import sys
from pathlib import Path

from ml.workshop.commands.options import BUNDLES_DIR, add_device_option

SUMMARY = "classify images: one JSON object per file"
EPILOG = """\
examples:
  python -m ml predict --task chest-xray a.dcm b.png      by the newest model of a task
  python -m ml predict --route scans/*.dcm                find the task by what an image shows
  python -m ml predict --task chest-xray --route a.dcm    withhold what looks like another part
  python -m ml predict --task chest-xray --text a.dcm     for people
  python -m ml predict --route scans/* | jq -r 'select(.label) | [.path, .label] | @tsv'

each object:
  path            the file, as it was given
  task            the task that the probabilities and the model are of; with --route body-part,
                  where no task could be chosen
  outcome         finding: a disease passed its operating point and is the most probable label;
                  flagged: one passed, and another label is more probable; no_finding: the normal
                  label leads and none passed; below_operating_point: a disease leads, none passed;
                  indeterminate: a disease lies at its operating point; abstained
  label           the finding or the normal label; null for every other outcome
  suspected_label the disease in question when flagged, indeterminate or below_operating_point
  likeliest_label the most probable label, whatever the outcome; null when abstained
  confidence      high, medium or low; low without a label, null when abstained
  probabilities   by label, calibrated; also when abstained: whenever pixels could be decoded
  abstained       whether the answer is withheld; abstention then gives its code and reason
  indeterminate   whether that is the outcome; indeterminate_reason says what is too close
  notes           what has to be known beside the answer: other diseases that passed; a limit of
                  the model that couldn't be applied, such as an unknown age; the window that a CT
                  was read through
  frames          of the file; deciding_frame is the one that decided, from 0
  stage           released or research; model_version, engine
  model_digest    SHA-256 of the model's manifest
  routing         with --route: label, task, probability, is_sure and model_digest of the
                  body-part model

of a file that can't be read:
  path; error with code, message and action; model_digest of the model that would have looked at
  it first: that of --task or --bundle, else the body-part model

exit status:
  0  every file was answered or abstained on
  1  at least one line is an error
  2  nothing was answered: wrong options, or no such model (stderr says which)
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="images, in any mix")
    parser.add_argument("--task", help="name of the task; --route can find it by the image")
    parser.add_argument("--bundle", type=Path, help="instead of the task's newest bundle")
    parser.add_argument("--bundles", type=Path, default=BUNDLES_DIR, help="folder of the bundles")
    parser.add_argument(
        "--route",
        action="store_true",
        help="let the body-part model look first: it finds the task, or doubts the one given",
    )
    parser.add_argument(
        "--validated-source",
        action="store_true",
        help="say that the model was validated where the files come from: one that is for its own "
        "source only gives no label otherwise",
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="one JSON object per file: the default")
    shape.add_argument("--text", action="store_true", help="one line per file, for people")
    add_device_option(parser)


def run(options: argparse.Namespace) -> int:
    """Answer every file in order; 1 if any of them failed."""
    from ml.workshop.answering import Answerer
    from ml.workshop.prediction_output import format_line

    if not (options.task or options.bundle or options.route):
        sys.stderr.write("predict: give --task or --bundle, or --route to find the task by look\n")
        return 2
    answerer = Answerer(
        options.bundles,
        task=options.task,
        bundle=options.bundle,
        is_routed=options.route,
        is_source_validated=options.validated_source,
        device=options.device,
    )
    is_failed = False
    for path in options.files:
        answer = answerer.answer(path)
        is_failed |= "error" in answer
        sys.stdout.write((format_line(answer) if options.text else json.dumps(answer)) + "\n")
        sys.stdout.flush()
    return int(is_failed)
