"""What is asked once of the whole audit."""

from exactcopy.checks.common import Result, Scope, check, finding
from exactcopy.model import Evidence, Role, Severity


@check("kept-off-site", Scope.AUDIT, owner="official")
def kept_off_site(evidence: Evidence) -> Result:
    """At least one backup is elsewhere, as the configuration says."""
    if any(store.offsite for store in evidence.stores if store.role is Role.BACKUP):
        return None
    return finding(
        Severity.HIGH,
        1,
        unit="stores",
        title="No backup is said to be off-site",
        message="No backup has `offsite = true` in the configuration.",
        why="Fire, flood and theft take all copies that are in one building.",
        remedy=("Keep one copy elsewhere and set `offsite = true` for it.",),
    )


@check("security-official-named", Scope.AUDIT, owner="official")
def security_official_named(evidence: Evidence) -> Result:
    """The security official is named (45 CFR 164.308(a)(2))."""
    if evidence.security_official:
        return None
    return finding(
        Severity.MEDIUM,
        1,
        unit="names",
        title="No security official is named",
        message="The configuration names no `security_official`.",
        why="Somebody has to answer for the safeguards, by name.",
        remedy=("Add it to [people] in the configuration.",),
    )


@check("findings-have-owners", Scope.AUDIT, owner="official")
def findings_have_owners(evidence: Evidence) -> Result:
    """Every finding has somebody who sees to it (45 CFR 164.308(a)(1)(ii)(B))."""
    if evidence.it and evidence.security_official:
        return None
    return finding(
        Severity.HIGH,
        1,
        unit="names",
        title="Findings have no owner yet",
        message="The configuration does not name both `it` and `security_official`.",
        why="A gap without an owner and a date stays open.",
        remedy=("Add both names to [people] in the configuration.",),
    )
