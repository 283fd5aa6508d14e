"""Section 6: how to show, years from now, that this report and its data were not changed."""

from collections.abc import Mapping
from typing import Any

from exactcopy.report import words

View = dict[str, Any]

# The wording that the project's legal review settled; the names of sections are this report's own.
DISCLAIMER = (
    "This report records measurements made by software on the stores and dates listed in sections 1 and 4, and "
    "statements made by the persons named in section 5. It is evidence the organization may use in its "
    "own evaluation under 45 CFR 164.308(a)(8). It is not a certification, legal opinion or determination "
    "of compliance with HIPAA or any other law, and no government agency has approved or endorsed the "
    "tool. It covers DICOM image copies only; it does not assess other electronic protected health "
    "information, or policies, workforce, facility or business associate obligations except where "
    "attested. Results based on a sample carry the sampling risk stated in section 4. A control marked "
    "“attested” was not tested. A control marked “not checked” gives no assurance. Proposed rules are "
    "shown for information and are not requirements. Keep this report at least six years from its date, "
    "or from when it was last in effect, whichever is later (45 CFR 164.316(b)(2)(i))."
)

REDACTED = "This redacted copy bears no seal, and no file of the record is attached to it."

# Who can change the list can change the draw: that nobody could choose would say too much.
FIRST_DRAW = (
    "No person enters the seed. On this first audit it follows from the list alone, so whoever can change the list "
    "can draw again; no earlier record binds it."
)
LATER_DRAW = (
    "No person enters the seed: it follows from the sealed record before, which stood before this list did, and from "
    "the list."
)


def section(audit: View, hashes: Mapping[str, str]) -> View:
    """Give all that section 6 prints."""
    run, previous, evidence = audit["audit"], audit["previous"], audit["evidence"]
    restricted = evidence["restricted_manifest_sha256"]
    rows = words.number(evidence["gaps_rows"])
    unit = "row" if evidence["gaps_rows"] == 1 else "rows"
    files = [
        ("audit.json", "The result, for machines", hashes.get("audit.json")),
        ("gaps.csv", f"{rows} {unit}: finding and study", hashes.get("gaps.csv")),
        (
            "restricted/manifest-sha256.txt",
            "Evidence that stays here",
            restricted,
        ),
    ]
    if previous:
        day = words.record_day(previous["id"])
        files.append((f"{previous['id']}/manifest-sha256.txt", f"Record before, {day}",
                      previous["manifest_sha256"]))  # fmt: skip
    sealed = audit.get("seal")
    if sealed:
        files.append(("report.pdf", "Certificate of its seal", sealed["certificate_sha256"]))
    files.append(("Configuration", "As read for this audit", run["config_sha256"]))
    if run.get("decisions_sha256"):
        files.append(("Decisions", "As read for this audit", run["decisions_sha256"]))
    return {
        "files": [{"name": name, "what": what, "sha256": sha256 or "not known when this was printed"}
                  for name, what, sha256 in files],
        "seal": REDACTED if "redacted" in audit else _seal(sealed),
        "first": previous is None,
        "chance": FIRST_DRAW if previous is None else LATER_DRAW,
        "draws": [_draw(each) for each in audit["restore_tests"] if each["sample"]["frame_sha256"]],
        "seeds": any(each["sample"]["seed"] != each["sample"]["frame_sha256"] for each in audit["restore_tests"]),
        "disclaimer": DISCLAIMER,
    }  # fmt: skip


def _seal(sealed: View | None) -> str:
    """Say what the seal shows, and what it does not."""
    if sealed is None:
        return "This record bears no seal: only its manifest, and the record after it, show whether a file was changed."
    told = (
        "report.pdf bears an invisible seal (PAdES) by the key of this facility: whatever was changed in it since it "
        "was sealed shows, in every PDF reader and by exactcopy verify. A seal does not show who sealed it, or when. "
    )
    if sealed.get("stamped"):
        told += (
            "A service was asked to state when (RFC 3161): exactcopy verify tells whether it did, and its name; "
            "whether to trust it is for you to say. "
        )
    if sealed["protected"]:
        return told + "A passphrase protects the key."
    return told + (
        "No passphrase protects the key: whoever can read the files of the account that audits can seal as well."
    )


def seal_line(sealed: View | None) -> str:
    """Say in a line what the seal shows, for page one."""
    if sealed is None:
        return "This file bears no seal."
    said = "The seal shows any change since sealing, not who sealed it or when."
    return said if sealed["protected"] else f"{said} Its key has no passphrase."


def _draw(test: View) -> View:
    sample = test["sample"]
    return {
        "backup": test["backup"],
        "planned": words.out_of(test["planned"], sample["frame"]) + (", all" if sample["method"] == "all" else ""),
        "frame_sha256": sample["frame_sha256"],
        "seed": None if sample["seed"] == sample["frame_sha256"] else sample["seed"] or words.NONE,
    }
