"""What people decided of a finding, by itself: it covers what it names, as long as it says, and changes no result."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from exactcopy.assess import conclude, load_controls
from exactcopy.checks import finding_id
from exactcopy.checks.actions import carried, resolved, to_do
from exactcopy.checks.common import CHECKS, DECIDE_INCIDENT, Checked
from exactcopy.decisions import Acceptance, Assignment, Decisions, Incident
from exactcopy.decisions.apply import EXACT, Affected, decide
from exactcopy.model import Severity
from exactcopy.results import Decision, Evidence, Finding, NotChecked
from tests.test_safeguard_checks import NOW, evidence, store

TODAY = date(2026, 11, 24)
CONTROLS = load_controls()
LABELS = [f"E-{number:04}" for number in range(1, 9)]
ELEMENTS = ["StudyDescription", "SeriesDescription", "(0009,1001)", "RequestAttributesSequence.StudyID"]


def found(check: str = EXACT, target: str = "nas", severity: Severity = Severity.HIGH, **more: object) -> Finding:
    """Give an open finding of today."""
    base = Finding(
        check=check,
        target=target,
        severity=severity,
        count=3,
        title="Copies differ",
        message="They differ.",
        why="They do.",
        id=finding_id(check, target),
        owner="Sam Ortiz",
        due=date(2026, 12, 8),
        first_seen=datetime(2026, 11, 1, tzinfo=UTC).isoformat(),
        base_severity=severity,
    )
    return replace(base, **more)  # type: ignore[arg-type]


def decided(on: date = TODAY, expires: date | None = None, **more: object) -> Decision:
    """Give a decision of a person."""
    base = Decision(by="Dana Reyes", title="Officer", on=on, entered_by="dreyes", reason="Known.", expires=expires)
    return replace(base, **more)  # type: ignore[arg-type]


labels = st.sets(st.sampled_from(LABELS))
days = st.integers(-400, 400).map(lambda number: TODAY + timedelta(days=number))
acceptances = st.lists(
    st.builds(
        lambda which, names, expires: Acceptance(
            decision=decided(min(TODAY, expires), expires), finding=which, labels=frozenset(names)
        ),
        st.sampled_from([found().id, finding_id(EXACT, "usb")]),
        labels,
        days,
    ),
    max_size=5,
)
affected = st.lists(st.none() | st.sampled_from(LABELS), min_size=1, max_size=8).map(
    lambda names: [Affected(name) for name in dict.fromkeys(names)]
)


@given(given_ones=acceptances, studies=affected)
def test_an_acceptance_never_covers_more_than_it_lists(given_ones: list[Acceptance], studies: list[Affected]) -> None:
    current = [each for each in given_ones if each.finding == found().id and each.decision.expires >= TODAY]  # type: ignore[operator]
    listed = {label for each in current for label in each.labels}
    covered = {study.label for study in studies} & listed
    seen = decide(found(), Decisions(acceptances=tuple(given_ones)), studies, TODAY)
    assert seen.accepted_count == len(covered)
    assert (seen.state == "accepted") == ({study.label for study in studies} <= listed)
    assert (seen.decision is not None) == bool(covered)


@given(names=labels.filter(bool), expires=days, today=days)
def test_an_acceptance_ends_with_its_last_day_and_the_finding_says_so(
    names: set[str], expires: date, today: date
) -> None:
    one = Acceptance(
        decision=decided(TODAY - timedelta(days=500), expires), finding=found().id, labels=frozenset(names)
    )
    seen = decide(found(), Decisions(acceptances=(one,)), [Affected(name) for name in names], today)
    assert (seen.state == "accepted") == (today <= expires)
    assert ("expired" in seen.message) == (today > expires)


@given(images=st.lists(st.integers(0, 4), min_size=1, max_size=5), accepted=st.none() | st.integers(0, 12))
def test_more_images_of_the_same_studies_are_open_again(images: list[int], accepted: int | None) -> None:
    names = LABELS[: len(images)]
    studies = [Affected(name, images=count) for name, count in zip(names, images, strict=True)]
    one = Acceptance(decision=decided(expires=TODAY), finding=found().id, labels=frozenset(names), images=accepted)
    more = accepted is not None and sum(images) > accepted
    seen = decide(found(), Decisions(acceptances=(one,)), studies, TODAY)
    assert (seen.state == "open") == more == ("open again" in seen.message)
    judged = Incident(decision=decided(), finding=found().id, labels=frozenset(names), images=accepted)
    assert (decide(found(), Decisions(incidents=(judged,)), studies, TODAY).incident is None) == more


@given(
    allowed=st.sets(st.sampled_from(ELEMENTS)),
    differing=st.lists(st.none() | st.sets(st.sampled_from(ELEMENTS)), min_size=1, max_size=5),
)
def test_elements_cover_a_study_that_differs_in_no_other(allowed: set[str], differing: list[set[str] | None]) -> None:
    rule = Acceptance(decision=decided(expires=TODAY), backup="nas", elements=frozenset(allowed))
    studies = [Affected(None, None if each is None else frozenset(each)) for each in differing]
    seen = decide(found(), Decisions(acceptances=(rule,)), studies, TODAY)
    assert seen.accepted_count == sum(bool(each) and each is not None and each <= allowed for each in differing)
    for other in (found(target="usb"), found(check="backup-is-complete")):
        assert decide(other, Decisions(acceptances=(rule,)), studies, TODAY).accepted_count == 0


def test_a_finding_without_studies_is_accepted_as_such_and_one_with_studies_only_by_their_labels() -> None:
    bare = Decisions(acceptances=(Acceptance(decision=decided(expires=TODAY), finding=found().id),))
    assert decide(found(), bare, None, TODAY).state == "accepted"
    seen = decide(found(), bare, [Affected("E-0001")], TODAY)
    assert seen.state == "open"
    assert "names no labels" in seen.message
    assert decide(found(), bare, [], TODAY).state == "open"


@given(
    findings=st.lists(
        st.builds(
            lambda check, severity: found(check, severity=severity),
            st.sampled_from(sorted(CHECKS)),
            st.sampled_from(list(Severity)),
        ),
        max_size=6,
    ),
    accepted=st.sets(st.sampled_from(sorted(CHECKS))),
    complete=st.booleans(),
)
def test_a_decision_never_changes_the_result(findings: list[Finding], accepted: set[str], complete: bool) -> None:
    seen = evidence(store("nas"))
    every = Decisions(
        acceptances=tuple(
            Acceptance(decision=decided(expires=TODAY), finding=finding_id(each, "nas")) for each in accepted
        ),
        assignments=tuple(
            Assignment(decision=decided(), finding=finding_id(each, "nas"), owner="Kim", cause="Cable")
            for each in accepted
        ),
        incidents=tuple(
            Incident(decision=decided(incident=True), finding=finding_id(each, "nas")) for each in accepted
        ),
    )
    after = [decide(each, every, None, TODAY) for each in findings]
    assert [each.state == "accepted" for each in after] == [each.check in accepted for each in findings]
    assert conclude(after, CONTROLS, seen, complete) == conclude(findings, CONTROLS, seen, complete)
    kept = ("check", "target", "severity", "count", "title", "message", "times_seen")
    assert [[getattr(each, key) for key in kept] for each in after] == [
        [getattr(each, key) for key in kept] for each in findings
    ]


def test_what_was_said_last_of_a_finding_counts_and_nothing_of_before_it_was_there() -> None:
    this = found().id
    said = Decisions(
        assignments=(
            Assignment(decision=decided(date(2026, 11, 20)), finding=this, owner="Kim", cause="A cable."),
            Assignment(decision=decided(date(2026, 11, 10)), finding=this, owner="Lee", due=date(2027, 1, 1)),
            Assignment(decision=decided(date(2025, 11, 10)), finding=this, cause="An old one."),
            Assignment(decision=decided(), finding="F-00000000", owner="Nobody"),
        )
    )
    seen = decide(found(), said, None, TODAY)
    assert (seen.owner, seen.due, seen.cause) == ("Kim", date(2027, 1, 1), "A cable.")
    old = Decisions(assignments=said.assignments[2:])
    assert decide(found(), old, None, TODAY) == found()


def test_an_incident_decision_is_of_all_that_is_affected_or_of_none() -> None:
    judged = Incident(decision=decided(incident=False), finding=found().id, labels=frozenset({"E-0001"}))
    said = Decisions(incidents=(judged,))
    assert decide(found(), said, [Affected("E-0001")], TODAY).incident == judged.decision
    assert decide(found(), said, [Affected("E-0001"), Affected(None)], TODAY).incident is None
    later = found(first_seen=datetime(2027, 1, 1, tzinfo=UTC).isoformat())
    assert decide(later, said, [Affected("E-0001")], TODAY).incident is None, "it was of another change"


def asked(check: str, seen: Evidence, *results: Finding | NotChecked) -> Finding | NotChecked | None:
    """Ask one check about what others said."""
    said: Finding | NotChecked | None = CHECKS[check].ask(
        seen, [Checked(each.check, each.target, each) for each in results]
    )
    return said


def test_a_failed_restore_has_a_month_to_be_given_its_cause() -> None:
    failed = found("restore-succeeded", severity=Severity.CRITICAL)
    name, seen = "failed-restores-have-a-cause", evidence(store("nas"))
    assert asked(name, seen) is None
    assert isinstance(asked(name, seen, failed), NotChecked)
    untested = NotChecked(check="restore-was-tested", target="nas", reason="It was away.")
    assert isinstance(asked(name, seen, untested), NotChecked)
    late = asked(name, replace(seen, actions=tuple(to_do([failed]))), failed)
    assert isinstance(late, Finding)
    assert failed.id in late.message
    answered = replace(failed, cause="A bad cable.")
    assert asked(name, replace(seen, actions=tuple(to_do([answered]))), answered) is None


def test_an_unexplained_change_and_an_addressable_exception_are_decided_within_a_month() -> None:
    seen = replace(evidence(store("nas")), addressable=frozenset({"encrypted-at-rest"}))
    for name, new, done in (
        (
            "changes-have-an-incident-decision",
            found("no-silent-alteration", "pacs", remedy=(DECIDE_INCIDENT,)),
            {"incident": decided(incident=False)},
        ),
        ("addressable-decisions-are-documented", found("encrypted-at-rest"), {"assigned": decided()}),
        ("addressable-decisions-are-documented", found("encrypted-at-rest"), {"state": "accepted"}),
    ):
        assert isinstance(asked(name, seen, new), NotChecked)
        late = asked(name, seen, replace(new, times_seen=2))
        assert isinstance(late, Finding)
        assert new.id in late.message
        assert asked(name, seen, replace(new, times_seen=2, **done)) is None
        assert isinstance(asked(name, seen, NotChecked(check=new.check, target="x", reason="Away.")), NotChecked)


def test_what_is_accepted_needs_no_owner_and_what_could_not_be_asked_again_does() -> None:
    name, seen = "findings-are-treated", evidence(store("nas"))
    assert asked(name, seen, found()) is None
    for untreated in (found(owner=None), found(due=None), found(due=NOW.date() - timedelta(days=1))):
        assert isinstance(asked(name, seen, untreated), Finding)
        assert asked(name, seen, replace(untreated, state="accepted")) is None
        assert isinstance(asked(name, replace(seen, actions=tuple(to_do([untreated])))), Finding)


def test_nothing_is_closed_before_an_audit_asked_again() -> None:
    before = to_do([found("restore-succeeded"), found("backup-is-complete"), found(severity=Severity.INFO)])
    assert [action.check for action in before] == ["restore-succeeded", "backup-is-complete"]
    done = [
        Checked("restore-succeeded", "nas", NotChecked(check="", target="", reason="It was away.")),
        Checked("backup-is-complete", "nas", None),
    ]
    assert [(each.check, each.state) for each in carried(before, done)] == [("restore-succeeded", "not checked again")]
    assert [each.check for each in resolved(before, done)] == ["backup-is-complete"]
    assert [each.check for each in carried(before, [])] == ["restore-succeeded", "backup-is-complete"]
    again = [Checked("backup-is-complete", "nas", found("backup-is-complete"))]
    assert resolved(before, again) == []
