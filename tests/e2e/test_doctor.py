"""`manage.py doctor` beside a product that runs, and is well."""

import json
import subprocess
import sys

from tests.product import ROOT, Product


def test_doctor_finds_no_error_in_a_product_that_runs(product: Product) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"],
        cwd=ROOT,
        env={**product.environment, "WEB_BIND": f"127.0.0.1:{product.port}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    found = [(one["level"], one["code"]) for one in report["findings"]]
    assert report["errors"] == 0
    assert {code for level, code in found if level == "ok"} >= {
        *("settings_read", "secret_key_kept", "database_reached", "redis_written", "store_works"),
        *("clock_right", "keys_trusted", "bundle_sound", "mail_off", "tls_off"),
        *("port_in_use", "disk_room", "code_readable", "umask"),
    }
    # An engine for each bundle takes its time where other tests run beside them.
    shipped = len(list((ROOT / "ml" / "bundles").glob("*/*/manifest.json")))
    answered = found.count(("ok", "model_answers"))
    assert answered == shipped or ("warning", "not_finished") in found
    assert found.count(("ok", "database_reached")) == 3
