"""Metadata of one study beside Debian's Orthanc, in one run: `make bench-metadata`.

Five hundred CT instances of half a megabyte go into each. Both are asked for the study's DICOM
JSON in turn, the first time and then again. Prints seconds, and the ratio of ours to Orthanc's.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import requests

from tests.bench.bench_intake import Corpus, Orthanc, Ours, make_corpus, servers


def ask(server: Ours | Orthanc, corpus: Corpus) -> float:
    """Seconds that the whole answer takes; all of the study has to be in it."""
    headers = {"Accept": "application/dicom+json"}
    if isinstance(server, Ours):
        root = f"{server.product.url}/dicomweb"
        headers["Authorization"] = f"Token {server.token}"
    else:
        root = f"http://127.0.0.1:{server.http_port}/dicom-web"
    started = time.perf_counter()
    address = f"{root}/studies/{corpus.study_uid}/metadata"
    answer = requests.get(address, headers=headers, timeout=300)
    seconds = time.perf_counter() - started
    found = json.loads(answer.content)
    assert len(found) == len(corpus.files), f"{server.name} told of {len(found)}"
    return seconds


def main() -> None:
    """Fill both, then ask both in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-metadata-"))
    try:
        with servers(folder) as both:
            corpus = make_corpus(folder / "corpus", number=1, instances=options.instances)
            for server in both:
                server.send("REST", corpus)
            found = [[ask(server, corpus) for server in both] for _ in range(options.rounds)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    line = "{:12}  {:>8}  {:>10}  {:>7}\n"
    sys.stdout.write(line.format("", "ours, s", "Orthanc, s", "ratio"))
    first, again = found[0], [statistics.median(times) for times in zip(*found[1:], strict=True)]
    for name, (ours, theirs) in (("first time", first), ("again", again)):
        cells = (f"{ours:.2f}", f"{theirs:.2f}", f"{ours / theirs:.2f}")
        sys.stdout.write(line.format(name, *cells))


if __name__ == "__main__":
    main()
