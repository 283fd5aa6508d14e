"""What is seen of a bucket's safeguards: on real servers, and where none has the feature on a mock or a script."""

import json
import re
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from exactcopy.model import Answer as Found
from exactcopy.model import Safeguard, Seen, Target
from exactcopy.stores import Safeguards, open_store
from exactcopy.stores.s3 import S3Store
from tests.servers import ADMIN, Answer, Keys, S3Server, scripted
from tests.stores.buckets import TIME, item, md5, page, put, refusal, target_of
from tests.stores.contract import listed

pytestmark = pytest.mark.usefixtures("_alone")

Login = Callable[[Keys], None]
DATA = b"an image"


def shown(target: Target) -> Safeguards:
    """List a bucket, and give what it shows then."""
    with open_store(target) as store:
        listed(store)
        found = store.safeguards()
    assert all(re.fullmatch(r"[\w ,.:;%/()'-]{0,80}", seen.detail) for seen in found.seen.values())
    return found


def seen_on(server: S3Server, bucket: str, safeguard: Safeguard, prefix: str = "") -> tuple[Found, str]:
    """Give what is seen of one safeguard."""
    seen = shown(target_of(server.endpoint, bucket, prefix=prefix)).seen[safeguard]
    return seen.answer, seen.detail


# On real servers.


def test_a_bucket_without_any_safeguard_passes_for_none(weed: S3Server, login: Login) -> None:
    login(ADMIN)
    put(weed, "bare", {b"image": DATA})
    found = shown(target_of(weed.endpoint, "bare"))
    assert {safeguard: (seen.answer, seen.detail) for safeguard, seen in found.seen.items()} == {
        Safeguard.ENCRYPTION: (Found.FAIL, "no encryption stated on 1 of 1 objects asked, no default"),
        Safeguard.PUBLIC_ACCESS: (Found.PASS, "refused without a login; its block not shown"),
        Safeguard.TRANSPORT: (Found.NOT_ASSESSED, "on this computer, or through a tunnel that begins here"),
        Safeguard.VERSIONING: (Found.FAIL, "off"),
        Safeguard.IMMUTABILITY: (Found.FAIL, "no object lock"),
        Safeguard.LIFECYCLE: (Found.PASS, "no rule deletes"),
        Safeguard.LOGGING: (Found.FAIL, "no server access log"),
        Safeguard.REPLICATION: (Found.FAIL, "none"),
    }
    # It may be the end of a tunnel to anywhere.
    assert (found.host, found.medium) == (None, f"{weed.endpoint} bare")
    assert (found.device, found.disk) == (None, None)


def test_what_an_account_may_not_see_is_not_permitted(weed: S3Server, login: Login) -> None:
    login(weed.auditor)
    admin = weed.admin()
    put(weed, "hidden", {})
    admin.put_bucket_encryption(Bucket="hidden", ServerSideEncryptionConfiguration=SEALED)
    admin.put_object(Bucket="hidden", Key="image", Body=DATA)
    admin.close()
    seen = shown(target_of(weed.endpoint, "hidden")).seen
    assert seen[Safeguard.IMMUTABILITY] == Seen(answer=Found.NOT_PERMITTED)
    assert seen[Safeguard.PUBLIC_ACCESS] == Seen(answer=Found.NOT_PERMITTED, detail="refused without a login")
    # What the object itself says needs no further right.
    assert seen[Safeguard.ENCRYPTION] == Seen(answer=Found.PASS, detail="AES256 on 1 of 1 objects asked")


SEALED = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}


def test_an_object_that_is_older_than_the_encryption_is_noticed(weed: S3Server, login: Login) -> None:
    login(ADMIN)
    put(weed, "sealed", {b"0": b"the largest, and in the clear"})
    admin = weed.admin()
    admin.put_bucket_encryption(Bucket="sealed", ServerSideEncryptionConfiguration=SEALED)
    for key in ("1", "2", "3", "4"):
        admin.put_object(Bucket="sealed", Key=key, Body=DATA)
    assert seen_on(weed, "sealed", Safeguard.ENCRYPTION) == (
        Found.FAIL,
        "no encryption stated on 1 of 2 objects asked, default AES256",
    )
    admin.put_object(Bucket="sealed", Key="0", Body=DATA)
    admin.put_object(Bucket="sealed", Key="2", Body=DATA * 2)
    admin.close()
    assert seen_on(weed, "sealed", Safeguard.ENCRYPTION) == (
        Found.PASS,
        "AES256 on 3 of 3 objects asked, default AES256",
    )


@pytest.mark.parametrize(
    ("actions", "detail"),
    [
        ([("s3:GetObject", "/*")], "anybody can read; public policy"),
        ([("s3:ListBucket", "")], "anybody can list; public policy"),
        ([("s3:GetObject", "/*"), ("s3:ListBucket", "")], "anybody can list; anybody can read; public policy"),
    ],
)
def test_what_a_policy_really_opens_to_anybody_is_found(
    actions: list[tuple[str, str]], detail: str, weed: S3Server, login: Login
) -> None:
    login(ADMIN)
    put(weed, "public", {b"study/image": DATA})
    admin = weed.admin()
    allow = {"Effect": "Allow", "Principal": "*"}
    statements = [{**allow, "Action": action, "Resource": f"arn:aws:s3:::public{rest}"} for action, rest in actions]
    policy = {"Version": "2012-10-17", "Statement": statements}
    admin.put_bucket_policy(Bucket="public", Policy=json.dumps(policy))
    assert seen_on(weed, "public", Safeguard.PUBLIC_ACCESS) == (Found.FAIL, detail)
    admin.delete_bucket_policy(Bucket="public")
    admin.close()
    assert seen_on(weed, "public", Safeguard.PUBLIC_ACCESS)[0] is Found.PASS


def test_a_lock_counts_where_the_objects_are_locked(weed: S3Server, login: Login) -> None:
    login(ADMIN)
    admin = weed.admin()
    admin.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    until = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=1)}
    admin.put_object(Bucket="locked", Key="1", Body=DATA, **until)
    assert seen_on(weed, "locked", Safeguard.IMMUTABILITY) == (
        Found.PASS,
        "GOVERNANCE locks 1 of 1 objects asked, no default",
    )
    admin.put_object(Bucket="locked", Key="0", Body=DATA)
    assert seen_on(weed, "locked", Safeguard.IMMUTABILITY) == (
        Found.FAIL,
        "GOVERNANCE locks 1 of 2 objects asked, no default",
    )
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    admin.put_object_lock_configuration(Bucket="locked", ObjectLockConfiguration=lock)
    admin.put_object(Bucket="locked", Key="0", Body=DATA)
    admin.close()
    assert seen_on(weed, "locked", Safeguard.IMMUTABILITY) == (
        Found.PASS,
        "COMPLIANCE, GOVERNANCE locks 2 of 2 objects asked, default 30 days",
    )


@pytest.mark.parametrize("name", ["weed", "mock"])
def test_rules_that_delete_are_found_where_they_touch_the_images(
    name: str, request: pytest.FixtureRequest, login: Login
) -> None:
    """On a mock too: it knows more kinds of rules."""
    server: S3Server = request.getfixturevalue(name)
    login(ADMIN)
    put(server, "rules", {b"images/1": DATA, b"logs/1": DATA})
    admin = server.admin()

    def put_rules(*rules: Mapping[str, object]) -> None:
        full = [{"ID": str(number), "Status": "Enabled", **rule} for number, rule in enumerate(rules)]
        admin.put_bucket_lifecycle_configuration(Bucket="rules", LifecycleConfiguration={"Rules": full})

    logs = {"Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 7}}
    put_rules(logs)
    assert seen_on(server, "rules", Safeguard.LIFECYCLE, "images/") == (Found.PASS, "no rule deletes")
    assert seen_on(server, "rules", Safeguard.LIFECYCLE, "logs/") == (Found.FAIL, "deleted after 7 days")
    assert seen_on(server, "rules", Safeguard.LIFECYCLE) == (Found.FAIL, "deleted after 7 days")
    put_rules(logs, {"Filter": {"Prefix": ""}, "Expiration": {"Days": 400}})
    assert seen_on(server, "rules", Safeguard.LIFECYCLE, "images/") == (Found.FAIL, "deleted after 400 days")
    put_rules({"Filter": {"Prefix": ""}, "Expiration": {"Days": 400}, "Status": "Disabled"})
    assert seen_on(server, "rules", Safeguard.LIFECYCLE, "images/") == (Found.PASS, "no rule deletes")
    admin.close()


def test_nothing_that_a_sloppy_server_says_is_a_pass(rclone: S3Server, login: Login) -> None:
    login(ADMIN)
    put(rclone, "sloppy", {b"image": DATA})
    found = shown(target_of(rclone.endpoint, "sloppy"))
    assert {safeguard: seen.answer for safeguard, seen in found.seen.items()} == {
        Safeguard.ENCRYPTION: Found.NOT_SUPPORTED,
        Safeguard.PUBLIC_ACCESS: Found.NOT_ASSESSED,
        Safeguard.TRANSPORT: Found.NOT_ASSESSED,
        Safeguard.VERSIONING: Found.FAIL,
        Safeguard.IMMUTABILITY: Found.NOT_SUPPORTED,
        Safeguard.LIFECYCLE: Found.NOT_SUPPORTED,
        Safeguard.LOGGING: Found.NOT_SUPPORTED,
        Safeguard.REPLICATION: Found.NOT_SUPPORTED,
    }


def test_before_a_listing_nothing_is_asked(weed: S3Server, login: Login) -> None:
    login(ADMIN)
    put(weed, "bare", {b"image": DATA})
    names: list[str] = []
    with open_store(target_of(weed.endpoint, "bare")) as store:
        assert isinstance(store, S3Store)
        store._bucket.client.meta.events.register("before-call", lambda model, **_: names.append(model.name))
        assert store.safeguards() == Safeguards(medium=f"{weed.endpoint} bare")
    assert names == []


def test_where_all_is_deleted_no_object_is_asked_and_none_passes(weed: S3Server, login: Login) -> None:
    login(ADMIN)
    put(weed, "all-gone", {})
    admin = weed.admin()
    admin.put_bucket_versioning(Bucket="all-gone", VersioningConfiguration={"Status": "Enabled"})
    admin.put_bucket_encryption(Bucket="all-gone", ServerSideEncryptionConfiguration=SEALED)
    admin.put_object(Bucket="all-gone", Key="image", Body=DATA)
    admin.delete_object(Bucket="all-gone", Key="image")
    admin.close()
    seen = shown(target_of(weed.endpoint, "all-gone")).seen
    assert seen[Safeguard.ENCRYPTION] == Seen(
        answer=Found.NOT_ASSESSED, detail="nothing on 0 of 0 objects asked, default AES256"
    )
    assert seen[Safeguard.PUBLIC_ACCESS] == Seen(answer=Found.NOT_ASSESSED)


def test_on_a_mock_a_bucket_that_lets_in_everybody_fails(mock: S3Server, login: Login) -> None:
    login(ADMIN)
    put(mock, "open", {b"image": DATA})
    admin = mock.admin()
    admin.put_bucket_acl(Bucket="open", ACL="public-read")
    admin.close()
    assert seen_on(mock, "open", Safeguard.PUBLIC_ACCESS)[0] is Found.FAIL


def test_on_a_mock_an_object_with_a_key_of_its_own_is_encrypted(mock: S3Server, login: Login) -> None:
    login(ADMIN)
    put(mock, "kms", {b"image": DATA}, ServerSideEncryption="aws:kms")
    assert seen_on(mock, "kms", Safeguard.ENCRYPTION) == (
        Found.PASS,
        "aws:kms on 1 of 1 objects asked, no default",
    )


# What a script has to do.


def xml(root: str, body: str = "") -> Answer:
    """Give an answer in XML."""
    return Answer(body=f"<{root}>{body}</{root}>".encode())


HEAD = {**TIME, "ETag": f'"{md5(DATA).hexdigest()}"'}
DENIED = refusal(403, "AccessDenied")
UNKNOWN = refusal(501, "NotImplemented")
BROKEN = refusal(500, "InternalError")
NO_POLICY = refusal(404, "NoSuchBucketPolicy")
LISTING = page(item("image", DATA))
OWNER = '<Grant><Grantee xmlns:xsi="x" xsi:type="CanonicalUser"><ID>o</ID></Grantee></Grant>'
GROUP = OWNER.replace("<ID>o</ID>", "<URI>http://acs.amazonaws.com/groups/global/{}</URI>")
BLOCK = "".join(
    f"<{name}>true</{name}>"
    for name in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
)
WITHOUT = "refused without a login"
# A bucket that is as closed as can be.
CLOSED: Mapping[str, Answer] = {
    "list": LISTING,
    "object": Answer(body=DATA, headers=HEAD),
    "list of a stranger": DENIED,
    "object of a stranger": DENIED,
    "policyStatus": xml("PolicyStatus", "<IsPublic>FALSE</IsPublic>"),
    "acl": xml("AccessControlPolicy", f"<AccessControlList>{OWNER}</AccessControlList>"),
    "publicAccessBlock": xml("PublicAccessBlockConfiguration", BLOCK),
}


def seen_of(
    answers: Mapping[str, Answer], safeguard: Safeguard, tls: ssl.SSLContext | None = None
) -> tuple[Found, str]:
    """Give what is seen of a scripted bucket: UNKNOWN is the answer to what has none."""

    def answer(path: str, headers: Message) -> Answer:
        query = parse_qs(urlsplit(path).query, keep_blank_values=True)
        asked = next(iter(query.keys() - {"x-id", "encoding-type"}), "object")
        asked = "list" if "list-type" in query else asked
        return answers.get(asked if "Authorization" in headers else f"{asked} of a stranger", UNKNOWN)

    with scripted(answer, tls=tls) as endpoint:
        seen = shown(target_of(endpoint, "b-u")).seen[safeguard]
    return seen.answer, seen.detail


@pytest.fixture
def _admin(login: Login) -> None:
    login(ADMIN)


scripts = pytest.mark.usefixtures("_admin", "_impatient")


@scripts
@pytest.mark.parametrize(
    ("changed", "answer", "detail"),
    [
        ({}, Found.PASS, "refused without a login; all of it blocked"),
        (
            {"publicAccessBlock": xml("PublicAccessBlockConfiguration", BLOCK.replace("true", "false", 1))},
            Found.PASS,
            "refused without a login; not all of it blocked",
        ),
        ({"publicAccessBlock": DENIED}, Found.PASS, "refused without a login; its block not shown"),
        ({"policyStatus": NO_POLICY}, Found.PASS, "refused without a login; all of it blocked"),
        ({"policyStatus": UNKNOWN, "acl": UNKNOWN}, Found.PASS, "refused without a login; all of it blocked"),
        ({"list of a stranger": LISTING}, Found.FAIL, "anybody can list"),
        ({"object of a stranger": Answer(body=b"a", headers=HEAD)}, Found.FAIL, "anybody can read"),
        # To say that there is no such byte, or that it is cold, is to say that reading is allowed.
        ({"object of a stranger": refusal(416, "InvalidRange")}, Found.FAIL, "anybody can read"),
        ({"object of a stranger": refusal(403, "InvalidObjectState")}, Found.FAIL, "anybody can read"),
        ({"policyStatus": xml("PolicyStatus", "<IsPublic>TRUE</IsPublic>")}, Found.FAIL, "public policy"),
        ({"policyStatus": xml("PolicyStatus", "<IsPublic>true</IsPublic>")}, Found.FAIL, "public policy"),
        ({"policyStatus": xml("PolicyStatus", "<IsPublic>yes</IsPublic>")}, Found.NOT_SUPPORTED, WITHOUT),
        ({"policyStatus": xml("PolicyStatus")}, Found.NOT_SUPPORTED, WITHOUT),
        ({"policyStatus": LISTING}, Found.NOT_SUPPORTED, WITHOUT),
        ({"acl": LISTING}, Found.NOT_SUPPORTED, WITHOUT),
        *(
            ({"acl": xml("AccessControlPolicy", f"<AccessControlList>{grants}</AccessControlList>")}, *rest)
            for grants, *rest in (
                (OWNER + GROUP.format("AllUsers"), Found.FAIL, "public ACL"),
                (OWNER + GROUP.format("AuthenticatedUsers"), Found.FAIL, "public ACL"),
                ("", Found.NOT_SUPPORTED, WITHOUT),
            )
        ),
        ({"acl": DENIED}, Found.NOT_PERMITTED, WITHOUT),
        ({"policyStatus": DENIED}, Found.NOT_PERMITTED, WITHOUT),
        ({"policyStatus": BROKEN}, Found.NOT_ASSESSED, WITHOUT),
        # Neither let in nor turned away.
        ({"list of a stranger": Answer(body=b"<html>Log in!</html>")}, Found.NOT_SUPPORTED, ""),
        ({"object of a stranger": Answer(body=b"<html>Log in!</html>")}, Found.NOT_SUPPORTED, ""),
        ({"object of a stranger": Answer()}, Found.NOT_SUPPORTED, ""),
        ({"object of a stranger": BROKEN}, Found.NOT_ASSESSED, ""),
        ({"object of a stranger": refusal(404, "NoSuchKey")}, Found.NOT_ASSESSED, ""),
        ({"object of a stranger": Answer(status=302, headers={"Location": "/login"})}, Found.NOT_ASSESSED, ""),
    ],
)
def test_a_script_tells_who_gets_in(changed: Mapping[str, Answer], answer: Found, detail: str) -> None:
    assert seen_of({**CLOSED, **changed}, Safeguard.PUBLIC_ACCESS) == (answer, detail)


def sealed_by(kind: str) -> Answer:
    """Give an object of which the server says how it is encrypted."""
    return Answer(body=DATA, headers={**HEAD, "x-amz-server-side-encryption": kind})


def default(kind: str) -> Answer:
    """Give the encryption of new objects."""
    rule = (
        f"<ApplyServerSideEncryptionByDefault><SSEAlgorithm>{kind}</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"
    )
    return xml("ServerSideEncryptionConfiguration", f"<Rule>{rule}</Rule>")


@scripts
@pytest.mark.parametrize(
    ("changed", "answer", "detail"),
    [
        ({"object": sealed_by("aws:kms"), "encryption": default("aws:kms")}, Found.PASS, "default aws:kms"),
        ({"object": sealed_by("AES256"), "encryption": LISTING}, Found.PASS, "1 of 1 objects asked"),
        ({"object": sealed_by("well")}, Found.NOT_SUPPORTED, "no encryption stated on 1 of 1 objects asked"),
        ({"object": sealed_by("well"), "encryption": default("well")}, Found.FAIL, "no default"),
        ({"encryption": default("AES256")}, Found.FAIL, "no encryption stated on 1 of 1 objects asked, default AES256"),
        ({"encryption": DENIED}, Found.FAIL, "no encryption stated on 1 of 1 objects asked"),
        ({"object": DENIED, "encryption": default("AES256")}, Found.NOT_PERMITTED, "0 of 1 objects asked"),
        ({"object": BROKEN, "encryption": default("AES256")}, Found.NOT_ASSESSED, "0 of 1 objects asked"),
        ({"object": refusal(404, "NoSuchKey")}, Found.NOT_ASSESSED, "0 of 1 objects asked"),
    ],
)
def test_a_script_tells_what_is_encrypted(changed: Mapping[str, Answer], answer: Found, detail: str) -> None:
    found, words = seen_of({**CLOSED, **changed}, Safeguard.ENCRYPTION)
    assert found is answer
    assert detail in words


def lock(more: str = "") -> Answer:
    """Give a lock that is on."""
    return xml("ObjectLockConfiguration", f"<ObjectLockEnabled>Enabled</ObjectLockEnabled>{more}")


def retained(until: str, mode: str = "COMPLIANCE") -> Answer:
    """Give until when an object is locked."""
    return xml("Retention", f"<Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate>")


@scripts
@pytest.mark.parametrize(
    ("answers", "answer", "detail"),
    [
        ({"object-lock": lock(), "retention": retained("2126-01-01T00:00:00Z")}, Found.PASS, "1 of 1"),
        ({"object-lock": lock(), "retention": retained("2020-01-01T00:00:00Z")}, Found.FAIL, "0 of 1"),
        ({"object-lock": lock(), "retention": refusal(404, "NoSuchObjectLockConfiguration")}, Found.FAIL, "0 of 1"),
        ({"object-lock": lock(), "retention": retained("2126-01-01T00:00:00Z", "soft")}, Found.NOT_SUPPORTED, ""),
        ({"object-lock": lock(), "retention": Answer()}, Found.NOT_SUPPORTED, ""),
        ({"object-lock": lock(), "retention": DENIED}, Found.NOT_PERMITTED, "no default"),
        (
            {
                "object-lock": lock(
                    "<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Years>7</Years></DefaultRetention></Rule>"
                ),
                "retention": DENIED,
            },
            Found.NOT_PERMITTED,
            "default 7 years",
        ),
        ({"object-lock": xml("ObjectLockConfiguration", "<Rule></Rule>")}, Found.NOT_SUPPORTED, ""),
        ({"object-lock": LISTING}, Found.NOT_SUPPORTED, ""),
        ({"object-lock": BROKEN}, Found.NOT_ASSESSED, ""),
    ],
)
def test_a_script_tells_what_is_locked(answers: Mapping[str, Answer], answer: Found, detail: str) -> None:
    found, words = seen_of({**CLOSED, **answers}, Safeguard.IMMUTABILITY)
    assert found is answer
    assert detail in words


def rules(*bodies: str) -> Answer:
    """Give rules that are on."""
    return xml("LifecycleConfiguration", "".join(f"<Rule><Status>Enabled</Status>{body}</Rule>" for body in bodies))


COLD = "<Transition><Days>{}</Days><StorageClass>{}</StorageClass></Transition>"


@scripts
@pytest.mark.parametrize(
    ("told", "answer", "detail"),
    [
        (refusal(404, "NoSuchLifecycleConfiguration"), Found.PASS, "no rule deletes"),
        (rules("<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>"), Found.FAIL, "deleted on a set date"),
        (
            rules(
                "<NoncurrentVersionExpiration><NoncurrentDays>30</NoncurrentDays></NoncurrentVersionExpiration>",
                "<Expiration><Days>99</Days></Expiration>" + COLD.format(5, "GLACIER"),
                "<Expiration><Days>98</Days></Expiration>",
            ),
            Found.FAIL,
            "deleted after 98 days; old versions deleted after 30 days; cold after 5 days",
        ),
        (
            rules("<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"),
            Found.FAIL,
            "delete markers are removed",
        ),
        (
            rules(COLD.format(90, "DEEP_ARCHIVE"), COLD.format(1, "STANDARD_IA")),
            Found.PASS,
            "no rule deletes; cold after 90 days",
        ),
        (
            rules("<Filter><And><Prefix>elsewhere/</Prefix></And></Filter><Expiration><Days>1</Days></Expiration>"),
            Found.FAIL,
            "deleted after 1 days",
        ),
        (rules("<Expiration></Expiration>"), Found.NOT_SUPPORTED, ""),
        (rules("<Evaporation><Days>1</Days></Evaporation>"), Found.NOT_SUPPORTED, ""),
        (xml("LifecycleConfiguration", "<Rule></Rule>"), Found.NOT_SUPPORTED, ""),
        (xml("LifecycleConfiguration"), Found.NOT_SUPPORTED, ""),
        (refusal(404, "SomethingElse"), Found.NOT_SUPPORTED, ""),
        (refusal(404, "NoSuchBucket"), Found.NOT_ASSESSED, ""),
        (Answer(), Found.NOT_SUPPORTED, ""),
        (LISTING, Found.NOT_SUPPORTED, ""),
        (DENIED, Found.NOT_PERMITTED, ""),
        (refusal(405, "MethodNotAllowed"), Found.NOT_SUPPORTED, ""),
        (refusal(400, "ExpiredToken"), Found.NOT_ASSESSED, ""),
    ],
)
def test_a_script_tells_which_rules_delete(told: Answer, answer: Found, detail: str) -> None:
    assert seen_of({**CLOSED, "lifecycle": told}, Safeguard.LIFECYCLE) == (answer, detail)


@scripts
@pytest.mark.parametrize(
    ("safeguard", "told", "answer"),
    [
        (
            Safeguard.LOGGING,
            xml("BucketLoggingStatus", "<LoggingEnabled><TargetBucket>logs</TargetBucket></LoggingEnabled>"),
            Found.PASS,
        ),
        (Safeguard.LOGGING, xml("BucketLoggingStatus"), Found.FAIL),
        (Safeguard.LOGGING, xml("BucketLoggingStatus", "<LoggingEnabled></LoggingEnabled>"), Found.NOT_SUPPORTED),
        (Safeguard.LOGGING, LISTING, Found.NOT_SUPPORTED),
        (Safeguard.LOGGING, DENIED, Found.NOT_PERMITTED),
        (
            Safeguard.REPLICATION,
            xml("ReplicationConfiguration", "<Rule><Status>Enabled</Status><Prefix></Prefix></Rule>"),
            Found.PASS,
        ),
        (Safeguard.REPLICATION, xml("ReplicationConfiguration", "<Rule><Status>Disabled</Status></Rule>"), Found.FAIL),
        (Safeguard.REPLICATION, refusal(404, "ReplicationConfigurationNotFoundError"), Found.FAIL),
        (Safeguard.REPLICATION, xml("ReplicationConfiguration"), Found.NOT_SUPPORTED),
        (Safeguard.REPLICATION, xml("ReplicationConfiguration", "<Role>r</Role>"), Found.NOT_SUPPORTED),
    ],
)
def test_a_script_tells_of_logs_and_replicas(safeguard: Safeguard, told: Answer, answer: Found) -> None:
    assert seen_of({**CLOSED, "logging": told, "replication": told}, safeguard)[0] is answer


def policy(**changed: object) -> Answer:
    """Give a policy that refuses all that comes without TLS, or does not quite."""
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::b-u", "arn:aws:s3:::b-u/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        **changed,
    }
    return Answer(body=json.dumps({"Statement": [{"Effect": "Allow"}, statement]}).encode())


@scripts
@pytest.mark.parametrize(
    ("told", "detail"),
    [
        (policy(), "TLS; the policy refuses all else"),
        (policy(Effect="Allow"), "TLS; no policy refuses all else"),
        (policy(Principal={"AWS": "arn:aws:iam::1:user/x"}), "TLS; no policy refuses all else"),
        (policy(Action="s3:PutObject"), "TLS; no policy refuses all else"),
        (policy(Resource="arn:aws:s3:::other/*"), "TLS; no policy refuses all else"),
        (policy(Condition={"Bool": {"aws:SecureTransport": "true"}}), "TLS; no policy refuses all else"),
        (
            policy(Condition={"Bool": {"aws:SecureTransport": "false"}, "StringEquals": {"aws:x": "y"}}),
            "TLS; no policy refuses all else",
        ),
        (policy(Condition=[[1]], Action=[{}], Resource={}, Principal=[1]), "TLS; no policy refuses all else"),
        (NO_POLICY, "TLS; no policy refuses all else"),
        (DENIED, "TLS; policy not shown"),
        (LISTING, "TLS; policy not shown"),
        (Answer(body=b'["a list"]'), "TLS; policy not shown"),
        (Answer(body=b'{"Statement": ["words"]}'), "TLS; policy not shown"),
        (Answer(), "TLS; policy not shown"),
    ],
)
def test_a_script_over_tls_tells_what_its_policy_refuses(
    told: Answer, detail: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    assert seen_of({**CLOSED, "policy": told}, Safeguard.TRANSPORT, tls) == (Found.PASS, detail)
