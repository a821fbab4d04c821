"""`python -m ml audit-data`: what is wrong with a data set, before anything is trained on it.

Looks at every image once and refuses a set in which a group, the same file, the same pixels or a
near-duplicate lies in two splits, or an image is missing or unreadable. Also says how many images
each label has, which sizes, modes and sources there are, which pictures carry two labels, how well
the label follows from how an image was taken, and what two baselines reach that hardly see disease.
"""

import argparse
import sys
from pathlib import Path

from ml.workshop.commands.options import add_task_options, load_config
from ml.workshop.quiet import quieten_engines

SUMMARY = "look for leaks, copies, shortcuts and bad files in a task's data set"
AUDITS_DIR = Path("var/audits")
EPILOG = """\
examples:
  python -m ml audit-data chest-xray --data ../shared/data
  python -m ml audit-data chest-xray --data ../shared/data \\
      --weights ../shared/weights/mobilenet_v2_1.0_224_notop.weights.h5
  python -m ml audit-data my-task.toml --data scans/      a task file and images of your own
  python -m ml audit-data my-task.toml --data scans/ \\
      --set 'data.excluded="/srv/audit/excluded.csv"'     once more, without what was found

what is written into the folder, whatever was found:
  audit.html            the page to read: verdict, pairs side by side, tables, pictures
  audit.json            the same as data; every pair and group that crosses
  near_duplicates.csv   every pair of copies and near-duplicates, the crossing ones and the others
  excluded.csv          images to leave out so that no copy crosses; the test split stays whole.
                        Name it in data.excluded: a full path, or one from ml/tasks on
  class_frequency.png   images by label and split
  montage-<label>.png   some images of each label

what to look at first:
  The baselines. A regression on 16 x 16 pixels can't see disease: what it reaches is owed to how
  images were taken, and no later score means much that isn't far above it. With --weights also a
  frozen backbone with a linear layer, where your own network starts.

exit status: 0 when the set is clean, 2 when it must not be used as it is (stderr says why)
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_task_options(parser)
    parser.add_argument("--out", type=Path, help=f"folder of the report ({AUDITS_DIR}/<task>)")
    parser.add_argument(
        "--weights",
        type=Path,
        help="ImageNet weights of MobileNetV2 (.h5) or EfficientNet-Lite0 (.pth): measures the "
        "frozen backbone too; its embeddings are kept in var/embeddings",
    )


def run(options: argparse.Namespace) -> int:
    """Audit, print what was found, write the report; 2 when the set must not be used as it is."""
    quieten_engines()
    from ml.workshop.audit.audit import audit_dataset
    from ml.workshop.audit.report import PAGE, write_audit
    from ml.workshop.audit.summary import format_audit

    config = load_config(options)
    audit = audit_dataset(config, options.data, weights=options.weights, images=options.root)
    out = options.out or AUDITS_DIR / config.task
    write_audit(audit, out)
    sys.stdout.write("\n".join(format_audit(audit)) + f"\nreport: {out / PAGE}\n")
    for error in audit.errors:
        sys.stderr.write(f"{error.code}: {error.message} {error.action}\n")
    return 2 if audit.errors else 0
