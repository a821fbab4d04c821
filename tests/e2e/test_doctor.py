"""`manage.py doctor` beside a product that runs, and is well."""

import json

from tests.product import Product


def test_doctor_finds_no_error_in_a_product_that_runs(product: Product) -> None:
    report = json.loads(product.manage("doctor", "--json"))

    found = [(one["level"], one["code"]) for one in report["findings"]]
    assert report["errors"] == 0, report
    assert {code for level, code in found if level == "ok"} >= {
        *("settings_read", "database_reached", "redis_written", "store_works", "disk_room"),
        *("clock_right", "keys_trusted", "bundle_sound", "model_answers", "mail_off", "tls_off"),
        *("code_readable", "umask"),
    }
    assert found.count(("ok", "model_answers")) == 6
    assert found.count(("ok", "database_reached")) == 3
