"""The table of variables, second part: what is done with images, from intake to retention."""

from medimaging.configuration.kinds import (
    AE_TITLE,
    Choice,
    Flag,
    Number,
    Place,
    Text,
    WebUrl,
    Whole,
)
from medimaging.configuration.variables import Variable

HOUR = 3600
DAY = 24 * HOUR
WEEK = 7 * DAY
MIB_PER_TIB = 1024**2

CLASSIFICATION = (
    Variable(
        *("INFERENCE_DEVICE", Choice(("auto", "cpu", "gpu")), "auto"),
        "What networks run on.",
    ),
    Variable("INFERENCE_BATCH", Whole(1, 4096), "16", "Frames that go through it at once."),
    Variable(
        *("TASK_SECONDS", Whole(1, DAY), "300"),
        "After so many seconds a classification is stopped.",
    ),
    Variable(
        *("TASK_SWEEP_SECONDS", Whole(1, HOUR), "15"),
        "How often somebody looks for work whose worker is gone.",
    ),
    Variable(
        *("CLASSIFICATION_LEASE_SECONDS", Whole(5, HOUR), "60"),
        "After so long without a word from its worker a study is taken from it.",
    ),
    Variable("CLASSIFICATION_MAX_ATTEMPTS", Whole(1, 100), "3", "Then a study has failed."),
    Variable(
        *("CLASSIFICATION_RING_AGAIN_SECONDS", Whole(1, HOUR), "30"),
        "After so long a study that waits for what may pass is tried again.",
    ),
    Variable(
        *("HEARTBEAT_SECONDS", Number(0.1, 60), "5"),
        "How often each process says that it lives.",
    ),
    Variable(
        *("HEARTBEAT_SILENT_SECONDS", Number(0.1, HOUR), "30"),
        "After so long without that it counts as silent.",
    ),
    Variable(
        *("DEAF_AFTER_SECONDS", Number(0.1, HOUR), "40"),
        "A worker that hears nothing of the broker for so long ends.",
    ),
)

INTAKE = (
    Variable("INTAKE_MAX_FILE_MIB", Whole(1, MIB_PER_TIB), "1024", "The largest file."),
    Variable("INTAKE_MAX_FILES", Whole(1, 10**6), "5000", "The most files of one submission."),
    Variable(
        *("INTAKE_SILENCE_SECONDS", Whole(1, HOUR), "30"),
        "After so long without a byte a sender counts as gone.",
    ),
    Variable("INTAKE_ZIP_MAX_MIB", Whole(1, MIB_PER_TIB), "4096", "What an archive unpacks to."),
    Variable("INTAKE_ZIP_MAX_ENTRIES", Whole(1, 10**6), "5000", "The most files in it."),
    Variable("INTAKE_ZIP_MAX_RATIO", Whole(1, 10**5), "200", "How far it may be compressed."),
    Variable("INTAKE_ZIP_MAX_NESTING", Whole(0, 10), "2", "Archives inside archives."),
    Variable(
        *("INTAKE_ZIP_MAX_REFUSALS", Whole(1, 10**6), "1000"),
        "After so many refused entries the rest isn't looked at.",
    ),
    Variable("INTAKE_ZIP_SECONDS", Whole(1, HOUR), "3", "Processor time for unpacking one."),
    Variable(
        *("INTAKE_REFUSALS_TOLD", Whole(1, 10**6), "100"),
        "So many refused files of a batch get a row each.",
    ),
    Variable("INTAKE_OPEN_UPLOADS", Whole(1, 10**5), "32", "Unfinished uploads of one person."),
    Variable("INTAKE_OPEN_SUBMISSIONS", Whole(1, 10**5), "32", "Unfinished submissions of one."),
    Variable(
        *("INTAKE_PERSON_PERCENT", Whole(1, 100), "25"),
        "Of the free room, what one person's unfinished uploads may need.",
    ),
    Variable(
        *("INTAKE_MIN_FREE_MIB", Whole(0, MIB_PER_TIB), "2048"),
        "Below this much room nothing more is taken in.",
    ),
    Variable(
        *("INTAKE_MIN_FREE_PERCENT", Whole(0, 90), "1"),
        "Below this share of room nothing more is taken in.",
    ),
    Variable(
        *("INTAKE_SPOOL_DIR", Place(), ""),
        "Where files lie until they are checked.",
        example="var/images/incoming",
    ),
    Variable(
        *("INTAKE_ABANDONED_AFTER_SECONDS", Whole(1, 31 * DAY), "3600"),
        "How long a broken upload can be gone on with.",
    ),
    Variable(
        *("STUDY_IDLE_AFTER_SECONDS", Whole(1, WEEK), "60"),
        "After which a study that nobody declares whole is complete.",
    ),
    Variable(
        *("DECODING_CHILDREN", Whole(1, 256), ""),
        "Images decoded at once by each process.",
        example="2",
    ),
    Variable("DECODING_MEMORY_MIB", Whole(64, MIB_PER_TIB), "448", "What one file may take."),
    Variable("DECODING_SECONDS", Whole(1, HOUR), "3", "Processor time for a header."),
)

STORAGE = (
    Variable("IMAGES_S3_BUCKET", Text(), "", "The bucket that images are kept in."),
    Variable("IMAGES_S3_ENDPOINT", WebUrl(), "", "Where the S3 service is."),
    Variable("IMAGES_S3_REGION", Text(), "us-east-1", "The region of the bucket."),
    Variable("IMAGES_S3_ACCESS_KEY", Text(), "", "Who we are there.", is_secret=True),
    Variable("IMAGES_S3_SECRET_KEY", Text(), "", "The secret half of it.", is_secret=True),
    Variable("IMAGES_S3_PREFIX", Text(), "", "Names in the bucket begin with this."),
    Variable(
        *("IMAGES_S3_ADDRESSING", Choice(("auto", "path", "virtual")), "auto"),
        "Whether the bucket is named in the path or in the host.",
    ),
    Variable(
        *("IMAGES_S3_ENCRYPTION", Choice(("AES256", "aws:kms", "aws:kms:dsse")), ""),
        "How the service encrypts.",
    ),
    Variable("IMAGES_S3_KMS_KEY", Text(), "", "The key that it encrypts with."),
    Variable("IMAGES_S3_CA_FILE", Place(), "", "The certificates of your own authority."),
    Variable(
        *("STORAGE_SCRUB_DAYS", Whole(1, 3660), "30"),
        "Within so many days every file is read.",
    ),
    Variable(
        *("STORAGE_SCRUB_SECONDS", Whole(0, 59), "5"),
        "So many seconds of each minute go into that.",
    ),
    Variable(
        *("STORAGE_ORPHAN_DAYS", Whole(1, 3660), "7"),
        "A file without a record goes so many days after it was found.",
    ),
)

RETENTION = (
    Variable(
        *("RETENTION_DELETED_DAYS", Whole(0, 36600), "90"),
        "So long a deleted study can be restored.",
    ),
    Variable("RETENTION_YEARS", Whole(0, 200), "0", "Older studies are due to go; 0: none."),
    Variable("RETENTION_AUTOMATIC", Flag(), "false", "Studies that are due go by themselves."),
    Variable("EXPORT_MAX_IMAGES", Whole(1, 10**6), "500", "The most images of one export."),
    Variable(
        *("EXPORT_KEPT_DAYS", Whole(0, 36600), "30"),
        "After which the file of an export is removed; 0: never.",
    ),
)

DICOM = (
    Variable("DICOM_PORT", Whole(0, 65535), "0", "Where associations come in."),
    Variable("DICOM_HOST", Text(), "127.0.0.1", "The address that they come in at."),
    Variable(
        *("DICOM_AE_TITLE", Text(AE_TITLE, "1 to 16 letters, without a backslash"), "MEDIMAGING"),
        "As whom we take them.",
    ),
    Variable("DICOM_TLS_CERTIFICATE", Place(), "", "A certificate turns TLS on."),
    Variable("DICOM_TLS_KEY", Place(), "", "Its private key, where it lies in a file of its own."),
    Variable("DICOM_TLS_CLIENT_CA", Place(), "", "Who signs the certificates of callers."),
    Variable("DICOM_TLS_DESTINATION_CA", Place(), "", "Who signs those of destinations."),
    Variable("DICOM_MAX_ASSOCIATIONS", Whole(1, 1000), "20", "Associations at once."),
    Variable("DICOM_MAX_PDU_KIB", Whole(4, 1024**2), "128", "The largest protocol data unit."),
    Variable(
        *("DICOM_IDLE_SECONDS", Whole(1, DAY), "60"),
        "After so long without a word an association is aborted.",
    ),
    Variable(
        *("DICOM_ASSOCIATION_SECONDS", Whole(1, WEEK), "14400"),
        "After so long it is aborted in any case.",
    ),
    Variable("DICOM_ASSOCIATION_OBJECTS", Whole(1, 10**7), "50000", "The most objects of one."),
    Variable("DICOM_MAX_MATCHES", Whole(1, 10**6), "1000", "The most answers to a C-FIND."),
    Variable(
        *("DICOM_GRACE_SECONDS", Whole(0, HOUR), "20"),
        "How long associations may go on when the process is asked to stop.",
    ),
)
