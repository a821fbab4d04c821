"""What a child that reads files can't do any more."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_lock_down_leaves_no_way_out(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the hospital")
    script = f"""
import json, os, resource, socket
from pathlib import Path
from records.dicom.sandbox.lockdown import lock_down
missing = lock_down(Path({str(ROOT)!r}))
attempts = dict(
    read=lambda: open({str(secret)!r}).read(),
    settings=lambda: open({str(ROOT / "medimaging" / "settings.py")!r}).read(),
    write=lambda: open({str(tmp_path / "new")!r}, "w"),
    listing=lambda: os.listdir({str(tmp_path)!r}),
    network=socket.socket,
    fork=os.fork,
    program=lambda: os.execv("/bin/true", ["true"]),
    kill=lambda: os.kill(os.getppid(), 0),
    limits=lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU),
    own_limits=lambda: resource.getrlimit(resource.RLIMIT_CPU),
    library=lambda: open(os.__file__).read(10),
)
outcomes = {{}}
for name, attempt in attempts.items():
    try:
        attempt()
        outcomes[name] = "done"
    except OSError as error:
        outcomes[name] = type(error).__name__
print(json.dumps(dict(outcomes, missing=missing)))
"""
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    outcomes = json.loads(answer.stdout)
    assert outcomes.pop("missing") == []
    assert outcomes.pop("library") == outcomes.pop("own_limits") == "done"
    assert set(outcomes.values()) == {"PermissionError"}


def test_lock_down_names_the_filters_that_a_machine_lacks():
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from records.dicom.sandbox import lockdown\n"
        "lockdown.CREATE_RULESET = 10_000\n"
        "lockdown.ARCHITECTURES.clear()\n"
        "print(*lockdown.lock_down(Path(sys.argv[1])))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, ROOT], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert answer.stdout.split() == ["Landlock", "seccomp"]
