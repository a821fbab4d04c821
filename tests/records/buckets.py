"""An S3 service to test against: moto's server, a process of its own that speaks real HTTP."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

REGION = "eu-central-1"
KEYS = {"access_key": "test", "secret_key": "test"}
PATIENCE_S = 60


def store_options(address: str, bucket: str, **more: Any) -> dict[str, Any]:
    """What a store in a bucket of the service is opened with."""
    options = {
        "bucket_name": bucket,
        "endpoint_url": address,
        "region_name": REGION,
        "addressing_style": "path",
        "file_overwrite": False,
    }
    return KEYS | options | more


def bucket_settings(address: str, bucket: str) -> dict[str, str]:
    """The same as variables of the environment."""
    return {
        "IMAGES_S3_BUCKET": bucket,
        "IMAGES_S3_ENDPOINT": address,
        "IMAGES_S3_REGION": REGION,
        "IMAGES_S3_ADDRESSING": "path",
        "IMAGES_S3_ACCESS_KEY": KEYS["access_key"],
        "IMAGES_S3_SECRET_KEY": KEYS["secret_key"],
    }


def make_bucket(address: str) -> str:
    """A bucket of the caller's own."""
    service = boto3.resource(
        "s3",
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
    )
    name = f"images-{uuid.uuid4().hex}"
    service.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


@contextmanager
def s3_service(directory: Path) -> Iterator[str]:
    """Run the service on a free port and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with (directory / "s3.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"MOTO_S3_CUSTOM_ENDPOINTS": address},
        )
        try:
            _wait(address, process)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=10)


def _wait(address: str, process: subprocess.Popen) -> None:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(f"{address}/moto-api/", timeout=2).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
