"""Section 6: how to show, years from now, that this report and its data were not changed."""

from collections.abc import Mapping
from typing import Any

from exactcopy.report import words

View = dict[str, Any]

# The wording that the project's legal review settled; the names of sections are this report's own.
DISCLAIMER = (
    "This report records measurements made by software on the stores and dates listed in section 4, and "
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


def section(audit: View, hashes: Mapping[str, str], clock: words.Clock) -> View:
    """Give all that section 6 prints."""
    run, previous, evidence = audit["audit"], audit["previous"], audit["evidence"]
    restricted = evidence["restricted_manifest_sha256"]
    rows = words.number(evidence["gaps_rows"])
    unit = "row" if evidence["gaps_rows"] == 1 else "rows"
    files = [
        ("audit.json", "The complete result in a form for machines", hashes.get("audit.json")),
        ("gaps.csv", f"One row per finding and study ({rows} {unit})", hashes.get("gaps.csv")),
        (
            "restricted/manifest-sha256.txt",
            "Names all that holds patient data; stays here",
            restricted,
        ),
    ]
    if previous:
        day = words.record_day(previous["id"])
        files.append((f"{previous['id']}/manifest-sha256.txt", f"The record before this one, of {day}",
                      previous["manifest_sha256"]))  # fmt: skip
    return {
        "files": [{"name": name, "what": what, "sha256": sha256 or "not known when this was printed"}
                  for name, what, sha256 in files],
        "first": previous is None,
        "made": [
            {"name": "Program and account", "text": f"exactcopy {run['version']}, run by {run['operator']}"},
            {"name": "Run", "text": clock.span(run["started"], run["finished"])},
            {"name": "Configuration, SHA-256", "text": run["config_sha256"], "mono": True},
            {"name": "Decisions, SHA-256", "text": run.get("decisions_sha256") or words.NONE, "mono": True},
            {"name": "Self-test", "text": self_test(evidence["self_test"])},
        ],
        "draws": [_draw(each) for each in audit["restore_tests"] if each["sample"]["frame_sha256"]],
        "disclaimer": DISCLAIMER,
    }  # fmt: skip


def self_test(result: Any) -> str:
    """Say how the planted defects of the self-test fared; where none was made, say that."""
    if result is None:
        return "not made"
    if isinstance(result, Mapping):
        return words.joined(f"{str(key).replace('_', ' ')}: {value}" for key, value in result.items())
    return "no exception" if result is True else "failed" if result is False else str(result)


def _draw(test: View) -> View:
    sample = test["sample"]
    return {
        "backup": test["backup"],
        "planned": words.out_of(test["planned"], sample["frame"]),
        "frame_sha256": sample["frame_sha256"],
        "seed": sample["seed"] or words.NONE,
    }
