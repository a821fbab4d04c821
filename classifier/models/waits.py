"""What a classification waits for that is no fault of its study: codes, and words for staff."""

MODEL_WAITS = (
    "model_missing",
    "bundle_unavailable",
    "bundle_untrusted",
    "trusted_keys_invalid",
)
"""Codes of what another version in use, or the same one restored, puts an end to."""

WAITING_SENTENCES = {
    "model_missing": "Waiting: the model in use is missing.",
    "bundle_unavailable": "Waiting: the model in use can't be opened.",
    "bundle_untrusted": "Waiting: nobody whom this site trusts has signed the model in use.",
    "trusted_keys_invalid": "Waiting: the keys that models are signed by can't be read.",
    "storage_unavailable": "Waiting: the store of the images can't be reached.",
    "storage_foreign": "Waiting: the store in place of the images' is another one.",
    "database_unavailable": "Waiting: the database can't be reached.",
}
"""What staff read of a row that waits for no fault of its study's, by what is in the way."""

WAITING_SENTENCE = "Waiting: the installation can't classify it at present."
