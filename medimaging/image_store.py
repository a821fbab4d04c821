"""Where images are kept, as the environment says: a directory, or an S3-compatible bucket."""

from pathlib import Path
from typing import Any

import environ


def store_settings(env: environ.Env, *, directory: Path) -> dict[str, Any]:
    """The entry of STORAGES: the bucket where one is named, else `directory`.

    Without a key of its own the bucket is opened as boto3 does by itself: by the AWS_* variables
    or by the role of the machine.
    """
    bucket = env.str("IMAGES_S3_BUCKET", default="")
    if not bucket:
        return {
            "BACKEND": "records.stores.local.LocalStore",
            "OPTIONS": {
                "location": directory,
                "file_permissions_mode": 0o600,
                "directory_permissions_mode": 0o700,
            },
        }
    options = {
        "bucket_name": bucket,
        "location": env.str("IMAGES_S3_PREFIX", default=""),
        "endpoint_url": env.str("IMAGES_S3_ENDPOINT", default="") or None,
        "region_name": env.str("IMAGES_S3_REGION", default="us-east-1"),
        "addressing_style": env.str("IMAGES_S3_ADDRESSING", default="auto"),
        "signature_version": "s3v4",
        "object_parameters": _encryption(env),
        "file_overwrite": False,
        # What is read stays in memory up to here, beyond it on disk.
        "max_memory_size": 16 * 1024 * 1024,
    }
    key = env.str("IMAGES_S3_ACCESS_KEY", default="")
    if key:
        options |= {"access_key": key, "secret_key": env.str("IMAGES_S3_SECRET_KEY")}
    authority = env.str("IMAGES_S3_CA_FILE", default="")
    if authority:
        options["verify"] = authority
    return {"BACKEND": "records.stores.s3.S3Store", "OPTIONS": options}


def _encryption(env: environ.Env) -> dict[str, str]:
    kind = env.str("IMAGES_S3_ENCRYPTION", default="")
    key = env.str("IMAGES_S3_KMS_KEY", default="")
    parameters = {"ServerSideEncryption": kind} if kind else {}
    return parameters | ({"SSEKMSKeyId": key} if key else {})
