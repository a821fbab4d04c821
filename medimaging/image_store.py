"""Where images are kept, as the environment says: a directory, or an S3-compatible bucket."""

from pathlib import Path
from typing import Any

from medimaging.configuration import Configuration


def store_settings(env: Configuration, *, directory: Path) -> dict[str, Any]:
    """The entry of STORAGES: the bucket where one is named, else `directory`.

    Without a key of its own the bucket is opened as boto3 does by itself: by the AWS_* variables
    or by the role of the machine.
    """
    bucket = env.text("IMAGES_S3_BUCKET")
    if not bucket:
        return {
            "BACKEND": "records.files.stores.local.LocalStore",
            "OPTIONS": {
                "location": directory,
                "file_permissions_mode": 0o600,
                "directory_permissions_mode": 0o700,
            },
        }
    options = {
        "bucket_name": bucket,
        "location": env.text("IMAGES_S3_PREFIX"),
        "endpoint_url": env.text("IMAGES_S3_ENDPOINT") or None,
        "region_name": env.text("IMAGES_S3_REGION"),
        "addressing_style": env.text("IMAGES_S3_ADDRESSING"),
        "signature_version": "s3v4",
        "object_parameters": _encryption(env),
        "file_overwrite": False,
        # What is read stays in memory up to here, beyond it on disk.
        "max_memory_size": 16 * 1024 * 1024,
    }
    key = env.text("IMAGES_S3_ACCESS_KEY")
    if key:
        options |= {"access_key": key, "secret_key": env.text("IMAGES_S3_SECRET_KEY")}
    authority = env.text("IMAGES_S3_CA_FILE")
    if authority:
        options["verify"] = authority
    return {"BACKEND": "records.files.stores.s3.S3Store", "OPTIONS": options}


def _encryption(env: Configuration) -> dict[str, str]:
    kind = env.text("IMAGES_S3_ENCRYPTION")
    key = env.text("IMAGES_S3_KMS_KEY")
    parameters = {"ServerSideEncryption": kind} if kind else {}
    return parameters | ({"SSEKMSKeyId": key} if key else {})
