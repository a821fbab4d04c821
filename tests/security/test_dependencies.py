"""A known hole in something that we depend on, or a pin that lets another file in."""

import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

HASH = " --hash=sha256:" + "0" * 64


def record(name="zipthing", *, events=None, versions=None, **fields):
    """An advisory in the form that osv.dev publishes."""
    ranges = [{"type": "ECOSYSTEM", "events": events}] if events else []
    return {
        "id": "PYSEC-2026-1",
        "modified": "2026-11-01T00:00:00Z",
        "summary": "A made-up hole",
        "aliases": ["CVE-2026-0001"],
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": name},
                "ranges": ranges,
                "versions": versions or [],
            }
        ],
        **fields,
    }


@pytest.fixture
def check(tmp_path):
    """Run the command on these pins and advisories; its output, or its error."""

    def run(pins, *records):
        requirements, advisories = tmp_path / "base.txt", tmp_path / "osv.json"
        requirements.write_text(pins)
        advisories.write_text(json.dumps(list(records)))
        return call(requirements, advisories)

    return run


def call(requirements, advisories=None):
    out = io.StringIO()
    options = {"advisories": advisories} if advisories else {}
    call_command("check_dependencies", requirements=[requirements], stdout=out, **options)
    return out.getvalue()


@pytest.mark.parametrize("version", ["1.0", "1.4.9", "1.5rc1", "2.0", "2.0.post1"])
def test_affected_version_is_named_with_its_fix(check, version):
    events = [{"introduced": "0"}, {"fixed": "1.5"}, {"introduced": "2.0"}, {"fixed": "2.1"}]
    with pytest.raises(CommandError, match=rf"zipthing {version}: PYSEC-2026-1, CVE-2026-0001"):
        check(f"zipthing=={version}{HASH}\n", record(events=events))


def test_fix_is_the_one_of_the_same_line_of_versions(check):
    events = [{"introduced": "0"}, {"fixed": "1.5"}, {"introduced": "2.0"}, {"fixed": "2.1"}]
    with pytest.raises(CommandError, match=r"fixed in 2\.1"):
        check(f"zipthing==2.0.3{HASH}\n", record(events=events))


@pytest.mark.parametrize("version", ["1.5", "1.10", "2.1", "3.0"])
def test_fixed_version_is_not_named(check, version):
    events = [{"introduced": "0"}, {"fixed": "1.5"}, {"introduced": "2.0"}, {"fixed": "2.1"}]
    assert "1 advisories" in check(f"zipthing=={version}{HASH}\n", record(events=events))


@pytest.mark.parametrize(("version", "is_affected"), [("1.5", True), ("1.5.1", False)])
def test_last_affected_counts_itself(check, version, is_affected):
    advisory = record(events=[{"introduced": "1.0"}, {"last_affected": "1.5"}])
    if not is_affected:
        check(f"zipthing=={version}{HASH}\n", advisory)
        return
    with pytest.raises(CommandError, match="no fix"):
        check(f"zipthing=={version}{HASH}\n", advisory)


def test_events_in_any_order_mean_the_same(check):
    events = [{"fixed": "2.1"}, {"introduced": "2.0"}, {"fixed": "1.5"}, {"introduced": "0"}]
    with pytest.raises(CommandError, match=r"fixed in 1\.5"):
        check(f"zipthing==1.4{HASH}\n", record(events=events))


@pytest.mark.parametrize("name", ["Zip_Thing", "zip.thing", "zip-thing"])
def test_name_is_compared_however_it_is_spelled(check, name):
    advisory = record("zip-thing", events=[{"introduced": "0"}])
    with pytest.raises(CommandError, match="zip-thing 1.0"):
        check(f"{name}[extra]==1.0 ; python_version >= '3.11' \\\n   {HASH}\n", advisory)


def test_version_in_the_list_alone_is_found(check):
    with pytest.raises(CommandError, match="PYSEC"):
        check(f"zipthing==1.0.0{HASH}\n", record(versions=["0.9", "1.0"]))


def test_range_that_cannot_be_read_counts_as_affected(check):
    advisory = record(events=[{"introduced": "before-everything"}])
    with pytest.raises(CommandError, match="can't be judged"):
        check(f"zipthing==1.0{HASH}\n", advisory)


def test_other_ecosystem_and_withdrawn_advisory_are_left_out(check):
    other = record(events=[{"introduced": "0"}])
    other["affected"][0]["package"]["ecosystem"] = "npm"
    withdrawn = record(events=[{"introduced": "0"}], withdrawn="2026-11-02T00:00:00Z")
    sound = record("another", events=[{"introduced": "0"}])
    check(f"zipthing==1.0{HASH}\n", other, withdrawn, sound)


@pytest.mark.parametrize(
    "pins",
    [
        "zipthing==1.0\n",
        f"zipthing>=1.0{HASH}\n",
        f"zipthing==1.*{HASH}\n",
        f"zipthing{HASH}\n",
        f"zipthing @ https://elsewhere.example/zipthing.whl{HASH}\n",
        "zipthing==1.0 --hash=md5:00000000000000000000000000000000\n",
        "--extra-index-url https://elsewhere.example\n",
        "-e .\n",
    ],
)
def test_pin_that_lets_another_file_in_is_refused(tmp_path, pins):
    (tmp_path / "base.txt").write_text(pins)
    with pytest.raises(CommandError, match=r"base\.txt"):
        call(tmp_path / "base.txt")


@pytest.mark.parametrize("form", ["folder", "zip", "one"])
def test_advisories_are_read_as_osv_publishes_them(tmp_path, form):
    (tmp_path / "base.txt").write_text(f"zipthing==1.0{HASH}\n")
    content, place = json.dumps(record(events=[{"introduced": "0"}])), tmp_path / "osv"
    if form == "zip":
        with zipfile.ZipFile(place.with_suffix(".zip"), "w") as archive:
            archive.writestr("PYSEC-2026-1.json", content)
        place = place.with_suffix(".zip")
    elif form == "folder":
        (place / "vulns").mkdir(parents=True)
        (place / "vulns" / "PYSEC-2026-1.json").write_text(content)
    else:
        place.write_text(content)
    with pytest.raises(CommandError, match="PYSEC-2026-1"):
        call(tmp_path / "base.txt", place)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"vulns": []}', '[{"id": 1}]'])
def test_list_without_advisories_is_no_all_clear(tmp_path, content):
    (tmp_path / "base.txt").write_text(f"zipthing==1.0{HASH}\n")
    (tmp_path / "osv.json").write_text(content)
    with pytest.raises(CommandError, match=r"osv\.json"):
        call(tmp_path / "base.txt", tmp_path / "osv.json")


def test_missing_list_is_no_all_clear(tmp_path):
    (tmp_path / "base.txt").write_text(f"zipthing==1.0{HASH}\n")
    with pytest.raises(CommandError, match="nowhere"):
        call(tmp_path / "base.txt", tmp_path / "nowhere.zip")


def test_every_pin_of_ours_is_exact_and_has_hashes():
    out = io.StringIO()
    call_command("check_dependencies", stdout=out)
    assert "no advisories were given" in out.getvalue()


def test_every_direct_dependency_has_its_line_why():
    listed = {
        re.split(r"[\[<>=]", line)[0].strip()
        for path in Path("requirements").glob("*.in")
        for line in path.read_text().splitlines()
        if line and not line.startswith(("#", "-"))
    }
    page = Path("docs/development/dependencies.md").read_text()
    explained = re.findall(r"^\| ([\w.-]+) \| \S.*\|$", page, re.MULTILINE)
    explained = [name for name in explained if name not in {"package", "---"}]
    assert sorted(explained) == sorted(listed)
