"""Page one: the result in words, four figures, a bar per backup, what has to happen, and the review."""

from typing import Any

from exactcopy.report import decided, gaps, restores, stores, words
from exactcopy.report.coverage import STATES, by_backup, last_known, line
from exactcopy.report.evidence import seal_line
from exactcopy.report.fit import Parts, fit
from exactcopy.report.headline import all_accepted, explain

View = dict[str, Any]

HEADLINES = {
    "lost": ("Images have no sound copy left", "bad"),
    "incomplete_copies": ("Exact copies are not complete", "bad"),
    "restore_failed": ("A test restore failed", "bad"),
    "not_enough": ("Not enough was checked to say", "unchecked"),
    "other_exceptions": ("Copies are exact; other exceptions need attention", "warn"),
    "none": ("No exceptions noted", "good"),
}
FIRST_AUDIT = (
    "The primary as found today is the reference; loss before today that left no differing copy cannot be seen."
)
REDACTED = (
    "Names, days and what people wrote are left out, and so are modality and year where fewer than five studies share "
    "them. It bears no seal; the record that it is of is the one whose audit.json has the SHA-256 {}."
)
CERTIFIES = "This certifies review, not compliance."
TICKS = (
    "I read the results and what was not checked",
    "Actions have owners and dates",
    "Decisions are mine or approved",
)
ACTIONS_SHOWN = 6
SENTENCES_SHOWN = 3
BARS_SHOWN = 6
# What the link after the safeguards takes of its line.
LINK = " See section 5 (p. 12)."


def section(audit: View, backups: list[View], distinct_gaps: int | None, clock: words.Clock) -> View:
    """Give all that page one prints; `backups` are the bars of section 1."""
    code = audit["headline"]
    text, tone = HEADLINES[code]
    sums = by_backup(audit)
    actions = gaps.actions(audit, clock)
    samples = restores.page_one_sentences(audit)
    left_out = [words.sentence(each["text"]) for each in audit["not_examined"]]
    not_examined = " ".join([*left_out, stores.archives(audit["stores"])]).rstrip()
    scope = f"{_covers(audit)}. Not: {audit['scope']['not']}."
    first = FIRST_AUDIT if audit["audit"]["first"] else None
    redacted = REDACTED.format(audit["redacted"]) if "redacted" in audit else None
    figures = [_weakest(sums), _waiting(audit), _restores(audit), _oldest_proof(audit)]
    parts = Parts(
        facility=audit["facility"],
        notes=[each["note"] for each in figures],
        explain=explain(code, audit, sums, distinct_gaps),
        fine=[
            f"Redacted copy. {redacted}" if redacted else "",
            f"Not examined: {not_examined}" if not_examined else "",
            scope,
            f"First audit. {first}" if first else "",
        ],
        actions=actions[:ACTIONS_SHOWN],
        bars=[_bar(bar, each, clock) for bar, each in _worst_bars(backups, sums)],
        words=safeguards(audit, sums) + LINK,
        samples=samples[:SENTENCES_SHOWN],
        decisions=decided.page_one(audit, clock),
        new_decisions=len(audit.get("decisions") or []),
    )
    density = fit(parts)
    return {
        "headline": text,
        "tone": tone,
        "accepted": "exceptions noted, all accepted" if all_accepted(audit) else None,
        "sentence": parts.explain,
        "not_examined": not_examined,
        "scope": scope,
        "first_audit": first,
        "redacted": redacted,
        "figures": figures,
        "bars": parts.bars,
        "more_bars": len(backups) - len(parts.bars),
        "legend": [
            {"state": state, "words": full}
            for state, (full, _) in STATES.items()
            if any(part["state"] == state for each in parts.bars for part in each["bar"]["parts"])
        ],
        "actions": parts.actions,
        "more": len(actions) - len(parts.actions),
        "safeguards": safeguards(audit, sums),
        "samples": parts.samples,
        "more_samples": len(samples) - len(parts.samples),
        "decisions": parts.decisions,
        "new_decisions": words.counted(parts.new_decisions, "new decisions") if parts.new_decisions else None,
        "ticks": TICKS,
        "certifies": CERTIFIES,
        "seal": seal_line(audit.get("seal")),
        "density": density,
    }


def _bar(bar: View, sums: View, clock: words.Clock) -> View:
    return {
        **{key: bar[key] for key in ("name", "bar", "status", "archives")},
        "words": line(sums),
        "total": words.counted(sums["total"], "studies"),
        "last_known": last_known(sums, clock),
    }


def _worst_bars(backups: list[View], sums: list[View]) -> list[tuple[View, View]]:
    """Give the bars in the configuration's order; of too many, the worst."""
    pairs = list(zip(backups, sums, strict=True))
    if len(pairs) <= BARS_SHOWN:
        return pairs
    return sorted(pairs, key=lambda pair: pair[1]["protected"] / max(pair[1]["total"], 1))[:BARS_SHOWN]


def _covers(audit: View) -> str:
    covers: str = audit["scope"]["covers"]
    return covers if covers.lower().startswith("covers") else f"Covers {covers}"


def safeguards(audit: View, sums: list[View]) -> str:
    """Count what the result says nothing about."""
    rows = [each for each in audit["controls"] if each["specification"] != "proposed"]
    proposed = len(audit["controls"]) - len(rows)
    risk = [each for each in rows if is_risk(each)]
    unknown = [each for each in rows if each["status"] == "not checked" and not is_risk(each)]
    unattested = sum(each["kind"] == "attested" for each in unknown)
    bad = sum(each["status"] == "exception" for each in risk)
    pending = max((each["pending"] for each in sums), default=0)
    parts = [
        f"{proposed} controls of proposed rules",
        f"{len(risk)} of risks to the copies{f' ({bad} with an exception)' if bad else ''}",
        f"{unattested} that nobody attested",
        f"{len(unknown) - unattested} others that were not checked",
        f"up to {words.counted(pending, 'studies')} pending" if pending else "",
    ]
    return f"The result above says nothing about these: {', '.join(part for part in parts if part)}."


def is_risk(control: View) -> bool:
    """Tell whether a control measures a risk: facility policy under a section of law, deciding nothing."""
    policy = control["specification"] == "facility policy" and "CFR" in control["citation"]
    return control["kind"] == "risk" or (policy and not control["decides"])


def _figure(label: str, value: str, note: str) -> View:
    return {"label": label, "value": value, "note": note}


def _weakest(sums: list[View]) -> View:
    label = "Exact copies, weakest backup"
    examined = [each for each in sums if each["examined"]]
    if not examined:
        return _figure(label, "Not checked", "no backup was examined")
    worst = min(examined, key=lambda each: each["protected"] / each["total"] if each["total"] else 0)
    count = words.out_of(worst["protected"], worst["total"])
    share = words.percent(worst["protected"], worst["total"])
    unseen = len(sums) - len(examined)
    beside = f"; {unseen} not examined" if unseen else ""
    if share:
        return _figure(label, share, f"{count} · {worst['name']}{beside}")
    return _figure(label, count, f"studies on {worst['name']}{beside}")


def _waiting(audit: View) -> View:
    label = "Oldest image without a copy"
    limits = {each["name"]: each["rpo_hours"] for each in audit["stores"]}
    late = [row for row in audit["comparisons"] if row["oldest_unprotected_hours"] is not None]
    if late:
        worst = max(late, key=lambda row: row["oldest_unprotected_hours"])
        tied = {row["backup"] for row in late if row["oldest_unprotected_hours"] == worst["oldest_unprotected_hours"]}
        limit = f"limit {words.age(limits.get(worst['backup'], audit['policy']['rpo_hours']))}"
        told = len(tied) == 1 or len({limits.get(name) for name in tied}) > 1
        note = f"{limit} · {worst['backup']}" if told else limit
        return _figure(label, words.age(worst["oldest_unprotected_hours"]), note)
    open_rows = [row for row in audit["comparisons"] if row["instances"]["missing"] or row["instances"]["pending"]]
    examined = any(row["studies"]["not_checked"] < row["studies"]["total"] for row in audit["comparisons"])
    if open_rows or not examined:
        return _figure(label, "Not known", f"limit {words.age(audit['policy']['rpo_hours'])}")
    return _figure(label, "None", "missing or pending where examined")


def _restores(audit: View) -> View:
    label = "Test restores"
    tests = [each for each in audit["restore_tests"] if each["planned"]]
    if not tests:
        return _figure(label, "None", "not checked: no restore was made")
    planned, restored, failed = (sum(each[key] for each in tests) for key in ("planned", "restored", "failed"))
    untested = sum(restores.untested(each) for each in tests)
    parts = [
        f"{words.number(failed)} failed" if failed else "",
        f"{words.number(untested)} not tested" if untested else "",
    ]
    result = ", ".join(part for part in parts if part) or "matching"
    backups = sum(each["role"] == "backup" for each in audit["stores"])
    return _figure(
        label, words.out_of(restored, planned), f"{result} · on {len(tests)} of {words.counted(backups, 'backups')}"
    )


def _oldest_proof(audit: View) -> View:
    label = "Oldest proof relied on"
    known = [row for row in audit["comparisons"] if row["oldest_read_at"]]
    if not known:
        return _figure(label, "None", "no copy was read")
    worst = min(known, key=lambda row: words.parse(row["oldest_read_at"]))
    hours = words.hours_between(worst["oldest_read_at"], audit["audit"]["started"])
    limits = audit["policy"].get("reread_days", {})
    limit = _reread(limits, worst["backup"])
    # Naming one of several with the same limit would single it out for nothing.
    note = f"{limit} · {worst['backup']}" if len({_reread(limits, row["backup"]) for row in known}) > 1 else limit
    return _figure(label, "This run" if hours == 0 else words.age(hours), note)


def _reread(limits: View, store: str) -> str:
    if store not in limits:
        return "limit not recorded"
    return f"limit {words.number(limits[store])} d" if limits[store] else "no limit set"
