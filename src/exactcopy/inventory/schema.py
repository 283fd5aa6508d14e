"""The columns of listings and inventories, schema 1. Times are nanoseconds since 1970, UTC."""

VERSION = 1

LISTING = {
    "key": "blob",
    "size": "bigint",
    "modified": "bigint",
    "inode": "bigint",
    "problem": "varchar",
}

INVENTORY = {
    "key": "blob",
    "size": "bigint",
    "modified": "bigint",
    "inode": "bigint",
    "study_instance_uid": "varchar",
    "series_instance_uid": "varchar",
    "sop_instance_uid": "varchar",
    "sop_class_uid": "varchar",
    "transfer_syntax_uid": "varchar",
    "modality": "varchar",
    "study_date": "date",
    "frames": "bigint",
    "lossy": "boolean",
    "sha256": "blob",
    # "read" in this audit, or "carried" forward from an earlier one.
    "digest_source": "varchar",
    "read_at": "bigint",
    "problem": "varchar",
}
