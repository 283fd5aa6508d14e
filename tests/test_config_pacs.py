"""Real TOML files with a PACS in them: what it becomes, what is wrong with it, and that no secret is ever told."""

import os
import pickle
import re
import subprocess
import sys
from datetime import timedelta

import pytest

from exactcopy.model import ReadPolicy
from tests.test_config import DOC, PACS, PLACE, RCLONE, S3, TOP, faults, load

WEB = '[backup.web]\nkind = "dicomweb"\nurl = "https://pacs.example.org/dicom-web"\nheld_by = "us"\n'
DIMSE = '[backup.old]\nkind = "dimse"\nhost = "pacs.example.org"\nport = 104\nae_title = "PACS"\nheld_by = "us"\n'
DICOMWEB, MODALITY = TOP + PACS + WEB, TOP + PACS + DIMSE
OTHER_WEB, OTHER_DIMSE = WEB.replace("backup.web", "backup.x"), DIMSE.replace("backup.old", "backup.x")
SIGN_IN = 'username = "auditor"\npassword = "env:PACS_PASSWORD"\n'


def test_the_smallest_pacs_of_each_kind_has_every_default(tmp_path):
    web, old = load(tmp_path, TOP + PACS + WEB + DIMSE).backups
    assert (web.kind, old.kind) == ("dicomweb", "dimse")
    assert web.options == {
        "url": "https://pacs.example.org/dicom-web",
        "username": None,
        "password": None,
        "token": None,
        "ca": None,
        "client_cert": None,
        "headers": {},
    }
    assert old.options == {
        "host": "pacs.example.org",
        "port": 104,
        "ae_title": "PACS",
        "calling_ae_title": "EXACTCOPY",
        "retrieve": None,
        "move_port": None,
        "tls": False,
        "ca": None,
        "client_cert": None,
    }
    for store in (web, old):
        assert (store.read, store.reread) == (ReadPolicy.ROTATION, timedelta(days=92))
        assert (store.held_by, store.covers, store.max_read) == ("us", ("pacs",), None)


def test_a_pacs_is_a_primary_that_rotates_too(tmp_path):
    config = load(
        tmp_path,
        TOP + (WEB + DIMSE).replace("backup.", "primary.") + 'read = "all"\n' + PACS.replace("primary", "backup"),
    )
    assert [(store.name, store.read) for store in config.primaries] == [("web", "rotation"), ("old", "all")]


def test_an_orthanc_may_be_read_by_what_it_reports_where_it_is_a_backup(tmp_path):
    [backup] = load(tmp_path, DICOMWEB + 'read = "reported"').backups
    assert backup.read is ReadPolicy.REPORTED
    as_primary = TOP + WEB.replace("backup.", "primary.") + 'read = "reported"\n' + PACS.replace("primary", "backup")
    assert faults(tmp_path, as_primary) == [
        'primary.web.read: cannot be "reported": a primary is the reference, and is read. Write "all".'
    ]


def test_every_setting_reaches_its_store_and_each_file_by_its_whole_path(tmp_path):
    config = load(
        tmp_path,
        TOP
        + PACS
        + WEB.replace("dicom-web", "dicom-web//")
        + 'username = "auditor"\npassword = "file:secrets/pacs"\n'
        + 'ca = "ca.pem"\nclient_cert = "/etc/exactcopy/client.pem"\n'
        + 'headers = { "X-Clinic" = "12", X-API-Key = "file:key", Cookie = "env:PACS_COOKIE" }\n'
        + OTHER_WEB.replace("https://pacs", "http://localhost:8042/pacs")
        + 'token = "env:PACS_TOKEN"\n'
        + DIMSE.replace('"PACS"', '" PACS MAIN "')
        + 'calling_ae_title = "AUDIT"\nretrieve = "move"\nmove_port = 11112\n'
        + 'tls = true\nca = "ca.pem"\nclient_cert = "c.pem"',
    )
    web, other, old = config.backups
    assert web.options == {
        "url": "https://pacs.example.org/dicom-web",
        "username": "auditor",
        "password": f"file:{tmp_path}/secrets/pacs",
        "token": None,
        "ca": f"{tmp_path}/ca.pem",
        "client_cert": "/etc/exactcopy/client.pem",
        "headers": {"X-Clinic": "12", "X-API-Key": f"file:{tmp_path}/key", "Cookie": "env:PACS_COOKIE"},
    }
    assert (other.options["token"], other.options["password"]) == ("env:PACS_TOKEN", None)
    assert old.options == {
        "host": "pacs.example.org",
        "port": 104,
        "ae_title": "PACS MAIN",
        "calling_ae_title": "AUDIT",
        "retrieve": "move",
        "move_port": 11112,
        "tls": True,
        "ca": f"{tmp_path}/ca.pem",
        "client_cert": f"{tmp_path}/c.pem",
    }


def test_workers_receive_a_pacs_without_pydantic(tmp_path):
    target = load(tmp_path, MODALITY + 'retrieve = "get"').backups[0]
    code = "import pickle, sys; pickle.load(sys.stdin.buffer); sys.exit('pydantic' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(target), check=True)


def test_what_is_secret_is_read_by_the_store_alone(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("S3CRET")
    monkeypatch.setenv("PACS_PASSWORD", "S3CRET")
    text = DICOMWEB + SIGN_IN + 'headers = { X-Key = "file:secret" }'
    with_secrets = load(tmp_path, text)
    assert "S3CRET" not in repr(with_secrets)
    (tmp_path / "secret").write_text("another")
    monkeypatch.delenv("PACS_PASSWORD")
    assert load(tmp_path, text) == with_secrets


# How the lines end.
REFERENCE = ' Name the variable or the file that holds it: "env:PACS_TOKEN" or "file:/etc/exactcopy/token".'
NO_SECRET = " is no reference, and no secret may stand in this file." + REFERENCE
VALUE = " is no value of a header. Write 1 to 1000 characters of ASCII in quotes."
OURS = " is exactcopy's own to set. Remove it."
SERVER = ' is no address of a server. Write it as in "https://pacs.example.org/dicom-web".'
AT = ' holds an "@", as a sign-in has. Write it as username and password, an @ of the path as "%40".'
QUERY = ' holds a "?" or "#". Write the address up to there, and a key to sign in under headers.'
COMPUTER = ' is no name of a computer. Write the bare name or IP address: "pacs.example.org".'
PORT = " is no port. Write a whole number from 1 to 65535, without quotes."
TITLE = " is no AE title. Write 1 to 16 characters of ASCII without a backslash."
ONE_WAY = " Write one way to sign in."
NO_CHECKSUMS = ' cannot be "reported": over DIMSE a PACS reports no checksums. Write "all" or "rotation".'


def web(address: str) -> str:
    return DICOMWEB.replace("https://pacs.example.org/dicom-web", address)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # dicomweb
        (
            TOP + PACS + "[backup.web]\nkind = 'dicomweb'\nheld_by = 'us'",
            'backup.web.url: is missing. Write the address of the server: url = "https://pacs.example.org/dicom-web".',
        ),
        (
            DICOMWEB.replace('held_by = "us"\n', ""),
            'backup.web.held_by: is missing. Write who holds the data: held_by = "us" for a server of your own.',
        ),
        (web("pacs.example.org/dicom-web"), 'backup.web.url: "pacs.example.org/dicom-web"' + SERVER),
        (web("ftp://pacs/dicom-web"), 'backup.web.url: "ftp://pacs/dicom-web"' + SERVER),
        (web("https:///dicom-web"), 'backup.web.url: "https:///dicom-web"' + SERVER),
        (web("https://pacs:0/x"), 'backup.web.url: "https://pacs:0/x"' + SERVER),
        (web("https://pacs/a b"), 'backup.web.url: "https://pacs/a b"' + SERVER),
        (web("https://[pacs"), 'backup.web.url: "https://[pacs"' + SERVER),
        (
            web("https://pacs/a/%2e./b"),
            'backup.web.url: "https://pacs/a/%2e./b" holds "..". Write the address without it.',
        ),
        (web("https://pacs/" + "x" * 1000), "backup.web.url: has 1013 characters. Write at most 1000."),
        (web("https://me:S3CRET@pacs/x"), "backup.web.url:" + AT),
        (web("https://me:S3/CRET@pacs"), "backup.web.url:" + AT),
        (web("https://pacs/x?key=S3CRET"), "backup.web.url:" + QUERY),
        (web("https://pacs/x#S3CRET"), "backup.web.url:" + QUERY),
        (
            DICOMWEB + SIGN_IN.replace("auditor", "me:S3CRET"),
            "backup.web.username: holds a colon, which no name of an account can (RFC 7617). Write the name alone.",
        ),
        (DICOMWEB + SIGN_IN.replace("env:PACS_PASSWORD", "S3CRET"), "backup.web.password:" + NO_SECRET),
        (DICOMWEB + "token = 'S3CRET'", "backup.web.token:" + NO_SECRET),
        (DICOMWEB + "token = 'Bearer:S3CRET'", "backup.web.token:" + NO_SECRET),
        (DICOMWEB + "token = 'env:S3CRET-'", "backup.web.token:" + NO_SECRET),
        (DICOMWEB + "token = 'ENV:S3CRET'", "backup.web.token:" + NO_SECRET),
        (DICOMWEB + "token = 'file:~/S3CRET'", "backup.web.token:" + NO_SECRET),
        (DICOMWEB + "token = 'file:'", "backup.web.token:" + NO_SECRET),
        (DICOMWEB + "token = 12345678", "backup.web.token:" + NO_SECRET),
        (
            DICOMWEB + "username = 'auditor'",
            'backup.web.password: is missing beside username. Name what holds it: password = "env:PACS_PASSWORD".',
        ),
        (
            DICOMWEB + "password = 'env:X'",
            "backup.web.username: is missing beside password. Write the name of the account.",
        ),
        (DICOMWEB + SIGN_IN + "token = 'env:X'", "backup.web.token: cannot stand beside username." + ONE_WAY),
        (
            DICOMWEB + "token = 'env:X'\nheaders = { AUTHORIZATION = 'env:Y' }",
            "backup.web.headers: cannot hold Authorization beside token." + ONE_WAY,
        ),
        (DICOMWEB + "headers = 'X: S3CRET'", 'backup.web.headers: is no table. Write headers = { "X-Clinic" = "12" }.'),
        (
            DICOMWEB + "headers = { 'X Y' = 'S3CRET' }",
            'backup.web.headers: "X Y" is no name of a header. Write one such as "X-Clinic".',
        ),
        (DICOMWEB + "headers = { accept = '*/*' }", 'backup.web.headers: "accept"' + OURS),
        (DICOMWEB + "headers = { X-A = '1', x-a = '2' }", 'backup.web.headers: names "x-a" twice. Write it once.'),
        (DICOMWEB + "headers = { Authorization = 'Bearer S3CRET' }", 'backup.web.headers: "Authorization"' + NO_SECRET),
        (DICOMWEB + "headers = { Api-Key = 'S3CRET' }", 'backup.web.headers: "Api-Key"' + NO_SECRET),
        (DICOMWEB + "headers = { X-A = 'env:S3CRET!' }", 'backup.web.headers: "X-A"' + NO_SECRET),
        (DICOMWEB + "headers = { X-A = 12 }", 'backup.web.headers: "X-A"' + VALUE),
        (DICOMWEB + "headers = { X-A = '' }", 'backup.web.headers: "X-A"' + VALUE),
        (DICOMWEB + 'headers = { X-A = "1\\r\\nS3CRET: 2" }', 'backup.web.headers: "X-A"' + VALUE),
        (DICOMWEB + "headers = { X-A = 'ä' }", 'backup.web.headers: "X-A"' + VALUE),
        (
            web("http://pacs/x") + "ca = 'ca.pem'",
            'backup.web.ca: has no use without TLS. Write the url with "https://", or remove it.',
        ),
        (
            DICOMWEB + "client_cert = '~/c.pem'",
            'backup.web.client_cert: "~/c.pem" depends on who runs the audit. Write the whole path.',
        ),
        (
            DICOMWEB + "api_key = 'S3CRET'",
            "backup.web.api_key: is a credential, and none may stand in this file."
            " Remove it: username and password, token and headers say how to sign in.",
        ),
        (DICOMWEB + "usernam = 'S3CRET'", "backup.web.usernam: is no known key. Did you mean username?"),
        (
            DICOMWEB + "port = 104",
            'backup.web.port: is a setting of kind = "dimse", which this store is not. Remove it.',
        ),
        # dimse
        (
            MODALITY.replace("port = 104\n", ""),
            "backup.old.port: is missing. Write the port on which the PACS takes DICOM associations: port = 104.",
        ),
        (
            MODALITY.replace('ae_title = "PACS"\n', ""),
            'backup.old.ae_title: is missing. Write the AE title of the PACS: ae_title = "PACS".',
        ),
        (
            MODALITY.replace('host = "pacs.example.org"\n', ""),
            'backup.old.host: is missing. Write the name or IP address of the PACS: host = "pacs.example.org".',
        ),
        (
            MODALITY.replace('held_by = "us"\n', ""),
            'backup.old.held_by: is missing. Write who holds the data: held_by = "us" for a PACS of your own.',
        ),
        (MODALITY + "read = 'reported'", "backup.old.read:" + NO_CHECKSUMS),
        (MODALITY.replace("pacs.example.org", "pacs:104"), "backup.old.host:" + COMPUTER),
        (MODALITY.replace("pacs.example.org", "me:S3CRET@pacs"), "backup.old.host:" + COMPUTER),
        (MODALITY.replace("pacs.example.org", "-pacs"), "backup.old.host:" + COMPUTER),
        (MODALITY.replace("104", "0"), "backup.old.port: 0" + PORT),
        (MODALITY.replace("104", "65536"), "backup.old.port: 65536" + PORT),
        (MODALITY.replace("104", "true"), "backup.old.port: true" + PORT),
        (MODALITY.replace("104", "'104'"), 'backup.old.port: "104"' + PORT),
        (MODALITY.replace('"PACS"', "'PACS1234567890123'"), 'backup.old.ae_title: "PACS1234567890123"' + TITLE),
        (MODALITY.replace('"PACS"', "'A\\B'"), 'backup.old.ae_title: "A\\B"' + TITLE),
        (MODALITY.replace('"PACS"', "'PÄCS'"), 'backup.old.ae_title: "PÄCS"' + TITLE),
        (MODALITY.replace('"PACS"', '"P\\tX"'), "backup.old.ae_title: holds the control character U+0009. Remove it."),
        (MODALITY + "calling_ae_title = ' '", "backup.old.calling_ae_title: is empty. Write a value or remove it."),
        (MODALITY + "retrieve = 'store'", 'backup.old.retrieve: "store" is not known here. Write "get" or "move".'),
        (
            MODALITY + "retrieve = 'get'\nmove_port = 11112",
            'backup.old.move_port: has no use beside retrieve = "get". Remove one of the two.',
        ),
        (
            MODALITY + "retrieve = 'move'",
            'backup.old.move_port: is missing beside retrieve = "move".'
            " Write the port where exactcopy receives: move_port = 11112.",
        ),
        (
            "workers = 'tcp://dask:8786'\n" + MODALITY + "retrieve = 'move'\nmove_port = 11112",
            "backup.old.move_port: receives on one computer, and the workers of a cluster are on several."
            " Remove it, or workers.",
        ),
        (MODALITY + "retrieve = 'move'\nmove_port = 70000", "backup.old.move_port: 70000" + PORT),
        (
            MODALITY + "retrieve = 'move'\nmove_port = 11112\ntls = true",
            "backup.old.client_cert: is missing: the PACS connects to exactcopy by TLS, too."
            " Name a PEM file with a certificate and its key.",
        ),
        (MODALITY + "ca = 'ca.pem'", "backup.old.ca: has no use without TLS. Write tls = true, or remove it."),
        (
            MODALITY + "client_cert = 'c.pem'\ntls = false",
            "backup.old.client_cert: has no use without TLS. Write tls = true, or remove it.",
        ),
        (
            MODALITY + "ca = 'ca.pem'\ntls = 'yes'",
            'backup.old.tls: "yes" is neither true nor false. Write true or false, without quotes.',
        ),
        (
            MODALITY + "password = 'S3CRET'",
            "backup.old.password: is a credential, and none may stand in this file."
            " Remove it: a PACS knows who asks by calling_ae_title, or by client_cert.",
        ),
        # other kinds
        (
            S3 + "username = 'S3CRET'",
            'backup.bucket.username: is a setting of kind = "dicomweb", which this store is not. Remove it.',
        ),
        (
            RCLONE + "ae_title = 'PACS'",
            'backup.drive.ae_title: is a setting of kind = "dimse", which this store is not. Remove it.',
        ),
        # places
        (DICOMWEB + OTHER_WEB, "backup.x.url: is the same place as backup.web." + PLACE),
        (
            DICOMWEB
            + OTHER_WEB.replace("https://pacs.example.org/dicom-web", "http://PACS.example.org.:80//dicom%2Dweb/"),
            "backup.x.url: is the same place as backup.web." + PLACE,
        ),
        (
            TOP
            + (WEB + SIGN_IN).replace("backup", "primary")
            + OTHER_WEB.replace("org/", "org:443/")
            + "token = 'env:X'",
            "backup.x.url: is the same place as primary.web." + PLACE,
        ),
        (
            TOP + DIMSE.replace("backup", "primary") + OTHER_DIMSE.replace("pacs.", "PACS.") + "calling_ae_title = 'X'",
            "backup.x.host: is the same place as primary.old." + PLACE,
        ),
        # a port that is not known might be of its own
        (MODALITY + OTHER_DIMSE.replace("104", "'x'"), 'backup.x.port: "x"' + PORT),
    ],
)
def test_a_fault_is_told_in_one_line_and_without_a_secret(tmp_path, text, expected):
    found = faults(tmp_path, text)
    assert found == [expected]
    assert "S3CRET" not in found[0]


@pytest.mark.parametrize(
    "more",
    [
        OTHER_WEB.replace("dicom-web", "Dicom-Web"),
        OTHER_WEB.replace("org/", "org:8042/"),
        OTHER_WEB.replace("pacs.", "pacs2."),
        # Below one address there may be the address of another.
        OTHER_WEB.replace("dicom-web", "dicom-web/servers/x"),
        OTHER_DIMSE.replace("104", "11112"),
        OTHER_DIMSE.replace('"PACS"', '"ARCHIVE"'),
        OTHER_DIMSE.replace("pacs.example.org", "::1"),
    ],
)
def test_a_pacs_beside_another_is_no_fault(tmp_path, more):
    assert len(load(tmp_path, TOP + PACS + WEB + DIMSE + more).backups) == 3


def test_the_identity_of_a_pacs_follows_the_place_only(tmp_path):
    def identity(text: str) -> str:
        return load(tmp_path, text).backups[0].identity

    first, old = identity(DICOMWEB), identity(MODALITY)
    more = [SIGN_IN, "token = 'env:X'", "ca = 'x'", "client_cert = 'x'", "headers = { X-A = 'b' }", "read = 'all'"]
    assert {identity(DICOMWEB + key) for key in more} == {first}
    assert identity(web("http://PACS.example.org/dicom-web/")) == first
    more = ["calling_ae_title = 'X'", "tls = true", "tls = true\nca = 'x'", "retrieve = 'get'", "move_port = 11112"]
    assert {identity(MODALITY + key) for key in more} == {old}
    assert identity(MODALITY.replace("pacs.example.org", "Pacs.Example.org.")) == old
    other = [
        web("https://pacs.example.org/dicom-web/x"),
        web("https://pacs.example.org"),
        web("https://pacs/dicom-web"),
    ]
    other += [MODALITY.replace("104", "105"), MODALITY.replace("PACS", "pacs"), MODALITY.replace("pacs.example", "x")]
    assert len({first, old, *map(identity, other)}) == 8


def test_the_digest_follows_every_setting_of_a_pacs(tmp_path):
    more = ["", SIGN_IN, SIGN_IN.replace("auditor", "x"), "token = 'env:X'", "token = 'env:Y'", "ca = 'x'"]
    more += ["client_cert = 'x'", "headers = { X-A = 'b' }", "headers = { X-A = 'c' }"]
    digests = [load(tmp_path, DICOMWEB + key).digest for key in more]
    more = ["", "calling_ae_title = 'X'", "retrieve = 'get'", "move_port = 11112", "tls = true"]
    digests += [load(tmp_path, MODALITY + key).digest for key in more]
    assert len(set(digests)) == len(digests)


def test_the_examples_of_a_pacs_in_the_guide_load(tmp_path):
    guide = DOC.read_text().partition("## A PACS")[2].partition("## decisions.toml")[0]
    config = load(tmp_path, TOP + "".join(re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)))
    orthanc, old = config.primaries
    cloud, reporting = config.backups
    assert reporting.read is ReadPolicy.REPORTED
    assert orthanc.options["password"] == "env:ORTHANC_PASSWORD"
    assert cloud.options["token"] == f"file:{tmp_path}/secrets/cloud-pacs-token"
    assert (old.options["retrieve"], old.options["move_port"]) == ("move", 11112)


@pytest.mark.skipif(os.name == "nt", reason="paths of Windows differ")
def test_a_reference_may_name_a_file_with_a_colon(tmp_path):
    assert load(tmp_path, DICOMWEB + "token = 'file:a:b'").backups[0].options["token"] == f"file:{tmp_path}/a:b"


RECOVERY = WEB.replace("backup.web", "recovery.spare").replace("pacs.example", "spare.example")
RECOVERY_DIMSE = DIMSE.replace("backup.old", "recovery.spare").replace("pacs.example", "spare.example")


def test_a_recovery_pacs_is_no_store_that_is_audited(tmp_path):
    config = load(tmp_path, TOP + PACS + WEB + RECOVERY + 'cleanup = true\nsite = "Basement"\n')
    assert [store.name for store in config.stores] == ["pacs", "web"]
    assert config.recovery is not None
    assert (config.recovery.name, config.recovery.role, config.recovery.site) == ("spare", "recovery", "Basement")
    assert config.recovery.options["cleanup"] is True
    other = load(tmp_path, TOP + PACS + WEB + RECOVERY_DIMSE).recovery
    assert other is not None
    assert other.options["cleanup"] is False
    assert load(tmp_path, DICOMWEB).recovery is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            DICOMWEB + WEB.replace("backup.web", "recovery.spare"),
            "recovery.spare.url: is the same place as backup.web. Write a place of its own: a test must never write to"
            " a store.",
        ),
        (
            MODALITY + DIMSE.replace("backup.old", "recovery.spare").replace('"PACS"', '"SPARE"'),
            "recovery.spare.host: is the same place as backup.old. Write a place of its own: a test must never write to"
            " a store.",
        ),
        (
            MODALITY + DIMSE.replace("backup.old", "recovery.spare"),
            "recovery.spare.host: is the same place as backup.old. Write a place of its own: a test must never write to"
            " a store.",
        ),
        (
            DICOMWEB + RECOVERY.replace("recovery.spare", "recovery.web"),
            "recovery.web: is the name of a store, too. Give one of them another name.",
        ),
        (
            DICOMWEB + RECOVERY + RECOVERY_DIMSE.replace("recovery.spare", "recovery.other"),
            "recovery.other: is a second one beside spare. Name one PACS that receives test restores.",
        ),
        (
            DICOMWEB + '[recovery.spare]\nkind = "folder"\npath = "spare"\n',
            'recovery.spare.kind: "folder" receives no test restores: they go to a scratch folder or a PACS. Write'
            ' "dicomweb" or "dimse".',
        ),
        (
            DICOMWEB + RECOVERY + 'read = "all"\n',
            "recovery.spare.read: is a setting of primaries and backups only. Remove it.",
        ),
        (
            DICOMWEB + RECOVERY + 'max_read = "1GB"\n',
            "recovery.spare.max_read: is a setting of backups only. Remove it.",
        ),
        (
            DICOMWEB + RECOVERY_DIMSE + "cleanup = true\n",
            'recovery.spare.cleanup: cannot be true: DIMSE has no service that deletes. Write kind = "dicomweb", or'
            " empty the PACS by hand.",
        ),
        (
            DICOMWEB + "cleanup = true\n",
            "backup.web.cleanup: is a setting of [recovery.NAME] only: nothing is ever removed from a primary or a"
            " backup. Remove it.",
        ),
        (
            DICOMWEB + RECOVERY.replace('held_by = "us"\n', ""),
            'recovery.spare.held_by: is missing. Write who holds the data: held_by = "us" for a server of your own.',
        ),
    ],
)
def test_what_a_recovery_pacs_cannot_be_is_told(tmp_path, text, expected):
    assert faults(tmp_path, text) == [expected]


@pytest.mark.parametrize("number", range(4))
def test_the_typical_set_ups_load(tmp_path, number):
    blocks = re.findall(r"```toml\n(.*?)```", (DOC.parent / "set-ups.md").read_text(), re.DOTALL)
    assert len(blocks) == 4
    config = load(tmp_path, blocks[number])
    assert (config.recovery is None) == (number == 3)
    assert len(config.stores) >= 2
