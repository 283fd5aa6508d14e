"""The columns of listings and inventories, schema 1. Times are nanoseconds since 1970, UTC."""

from collections.abc import Mapping

from exactcopy.digest import parse
from exactcopy.model import Checksum

VERSION = 1

LISTING = {
    "key": "blob",
    "size": "bigint",
    "modified": "bigint",
    "inode": "bigint",
    "version": "varchar",
    # Checksums that the store reports: "md5:0f1e… sha256:9a…". Text, for DuckDB takes it twenty times faster than maps.
    "digests": "varchar",
    "problem": "varchar",
    # Where the store shows them.
    "study_instance_uid": "varchar",
    "series_instance_uid": "varchar",
    "sop_instance_uid": "varchar",
    "sop_class_uid": "varchar",
}

INVENTORY = {
    "key": "blob",
    "size": "bigint",
    "modified": "bigint",
    "inode": "bigint",
    "version": "varchar",
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
    # Checksums beside SHA-256: of a primary, those that its backups can be compared by; of a backup, what it reports.
    # And where a PACS takes part, that of the content, on both sides.
    "digests": "varchar",
    # "read" in this audit; "carried" forward from an earlier one; "reported": the store states `algorithm` of the
    # primary's content, and `sha256` is that content's; null: nothing current is known of the content.
    "digest_source": "varchar",
    "algorithm": "varchar",
    "read_at": "bigint",
    # Known by a checksum, and in cold storage all the same: it must be thawed before it can be read.
    "archived": "boolean",
    "problem": "varchar",
}

# Of patient data, in scratch: a token, and that of the patient whose it is.
TOKENS = {"token": "ubigint", "bearer": "ubigint"}


def all_columns(table: str) -> str:
    """Return the SQL of an inventory with all its columns, also of one that was written before it had them."""
    nulls = ", ".join(f"null::{kind} as {name}" for name, kind in INVENTORY.items())
    return f"(select {nulls} where false union all by name from {table})"


def written(digests: Mapping[Checksum, bytes]) -> str | None:
    """Write checksums as a table holds them."""
    if not digests:
        return None
    return " ".join(sorted(f"{checksum}:{digest.hex()}" for checksum, digest in digests.items()))


def read(digests: str) -> dict[Checksum, bytes]:
    """Return the checksums that a table holds."""
    pairs = (entry.split(":") for entry in digests.split(" "))
    return {parse(name): bytes.fromhex(digest) for name, digest in pairs}


def entries(table: str, columns: str) -> str:
    """Return the SQL of a row (name, digest) for each checksum in `table`, beside its `columns`."""
    return (
        f"(select {columns}, split_part(entry, ':', 1) as name, split_part(entry, ':', 2) as digest"
        f" from (select {columns}, unnest(string_split(digests, ' ')) as entry from {table}))"
    )


def names(digests: str) -> str:
    """Return the SQL list of the names of the checksums in a column."""
    return f"list_transform(string_split({digests}, ' '), lambda entry: split_part(entry, ':', 1))"
