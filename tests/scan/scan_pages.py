"""`make audit`: wapiti, signed in, against a product that is started for it; a finding fails.

The wapiti of requirements/audit.txt attacks every page and form that a technician, a reviewer and
an administrator come upon, with its `common` modules. Nothing outlives it but its report.
"""

import argparse
import http.cookiejar
import json
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

from tests.product import Product, running

ROLES = ("technician", "reviewer", "administrator")
PLAIN_HTTP = {
    "Secure Flag cookie": "the quickstart is served by plain http: BEHIND_TLS sets the flag",
    "HttpOnly Flag cookie": "our own scripts read csrftoken, and nothing else",
}
"""Findings that are expected of the quickstart, and why; everything else fails."""
NOT_ENTERED = ("sign-out/", "password/", "static/")
"""What would end the scan's own session, and what has no program behind it."""


def sign_in(product: Product, role: str) -> str:
    """The cookies of a new session, as one header."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    name, password = product.sign_in_of(role)
    page = opener.open(f"{product.url}/sign-in/", timeout=30).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token, "the sign-in page has no form"
    form = {"username": name, "password": password, "csrfmiddlewaretoken": token[1]}
    opener.open(f"{product.url}/sign-in/", urllib.parse.urlencode(form).encode(), timeout=30)
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)
    assert "sessionid=" in cookies, f"{role} can't sign in"
    return cookies


def is_signed_in(product: Product, cookies: str) -> bool:
    """Whether the session is still one: else the scan looked at the sign-in page alone."""
    request = urllib.request.Request(f"{product.url}/", headers={"Cookie": cookies})
    with urllib.request.urlopen(request, timeout=30) as response:
        return "/sign-in/" not in response.url


def scan(product: Product, role: str, *, wapiti: Path, seconds: int, report: Path) -> int:
    """Scan as one role; prints what was found, and returns how much of it is unexpected."""
    cookies = sign_in(product, role)
    with tempfile.TemporaryDirectory() as session:
        left_out = [part for path in NOT_ENTERED for part in ("-x", f"{product.url}/{path}*")]
        command = [str(wapiti), "-u", f"{product.url}/", "-C", cookies, "-m", "common", *left_out]
        command += ["--scope", "domain", "--max-scan-time", str(seconds // 2)]
        command += ["--max-attack-time", str(seconds // 8), "--max-links-per-page", "40"]
        command += ["--max-files-per-dir", "15", "--tasks", "4", "--no-bugreport", "--color"]
        command += ["--store-session", session, "-f", "json", "-o", str(report)]
        subprocess.run(command, check=True, timeout=seconds * 3, stdout=subprocess.DEVNULL)
    found = json.loads(report.read_text())
    assert found["infos"]["crawled_pages_nbr"] > 10, "hardly a page was found"
    assert is_signed_in(product, cookies), "the session ended during the scan: see NOT_ENTERED"
    groups = found["vulnerabilities"] | found["anomalies"]
    for name, entries in groups.items():
        for entry in entries:
            reason = PLAIN_HTTP.get(name, "NOT EXPECTED")
            print(f"{role}: {name}: {entry['path']} {entry['info']} ({reason})")
    print(f"{role}: {found['infos']['crawled_pages_nbr']} pages")
    return sum(len(entries) for name, entries in groups.items() if name not in PLAIN_HTTP)


def main() -> int:
    """Start the product, scan it, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wapiti", type=Path, required=True, help="the program")
    parser.add_argument("--seconds", type=int, default=120, help="for crawling and attacks, a role")
    parser.add_argument("--roles", nargs="+", choices=ROLES, default=ROLES)
    parser.add_argument("--out", type=Path, required=True, help="folder of the reports")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "data") as product:
        unexpected = sum(
            scan(
                product,
                role,
                wapiti=options.wapiti.absolute(),
                seconds=options.seconds,
                report=(options.out / f"wapiti-{role}.json").absolute(),
            )
            for role in options.roles
        )
    print(f"{unexpected} unexpected findings")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
