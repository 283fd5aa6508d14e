"""What rclone's remotes show of their protection: the settings, and fake providers behind the real client."""

import os
import subprocess
from pathlib import Path

import pytest

from exactcopy.model import Answer, Gap, Safeguard, Seen
from exactcopy.stores import Safeguards, open_store
from exactcopy.stores.filesystem import Mount, server
from exactcopy.stores.rclone import pace
from exactcopy.stores.rclone.protection import host, protection
from exactcopy.stores.rclone.remotes import Remote, objects_per_second, resolve
from exactcopy.stores.rclone.server import serve
from tests.fake_clouds import FOLDER, SHORTCUT, Drive, Dropbox, fake
from tests.stores.contract import listed
from tests.stores.test_rclone import RCLONE, running, target_of

pytestmark = pytest.mark.usefixtures("_no_remotes")
SETTINGS = {
    "gdrive": {"type": "drive", "scope": "drive.readonly"},
    "team": {"type": "drive", "team_drive": "0ABC"},
    "box": {"type": "dropbox"},
    "nas": {"type": "sftp", "host": "nas.example.com"},
    "known": {"type": "sftp", "host": "nas.example.com", "known_hosts_file": "~/.ssh/known_hosts"},
    "dav": {"type": "webdav", "url": "https://dav.example.com/remote"},
    "clear": {"type": "webdav", "url": "http://dav.example.com/remote"},
    "site": {"type": "http", "url": "HTTP://example.com"},
    "minio": {"type": "s3", "provider": "Minio", "endpoint": "http://minio:9000", "access_key_id": "AK"},
    "aws": {"type": "s3", "provider": "AWS", "access_key_id": "AK", "secret_access_key": "SECRET"},
    "b2": {"type": "b2", "account": "0012", "key": "SECRET"},
    "ftp": {"type": "ftp", "host": "ftp.example.com"},
    "ftps": {"type": "ftp", "host": "ftp.example.com", "explicit_tls": "true"},
    "ftps-blind": {"type": "ftp", "host": "ftp.example.com", "tls": "true", "no_check_certificate": "true"},
    "smb": {"type": "smb", "host": "nas.example.com"},
    "safe": {"type": "crypt", "remote": "gdrive:vault"},
    "half": {"type": "crypt", "remote": "gdrive:vault", "no_data_encryption": "true"},
    "short": {"type": "alias", "remote": "box:Backups/PACS"},
    "parts": {"type": "chunker", "remote": "short:big"},
    "here": {"type": "alias", "remote": "/mnt/images"},
    "round": {"type": "alias", "remote": "round:"},
}


def resolved(remote: str) -> Remote:
    """Give what holds the bytes of a remote of SETTINGS."""
    return resolve(remote, lambda name: SETTINGS.get(name, {}))


def shown(remote: str = "cloud:xrays") -> Safeguards:
    """Give the safeguards of a remote after it was listed."""
    with open_store(target_of(remote)) as store:
        assert Safeguard.PUBLIC_ACCESS not in store.safeguards().seen
        listed(store)
        return store.safeguards()


def public(remote: str = "cloud:xrays") -> Seen:
    """Give what was seen of public access."""
    return shown(remote).seen[Safeguard.PUBLIC_ACCESS]


def item(drive: Drive, name: str) -> str:
    """Give the id of what has a name."""
    return next(item.id for item in drive.items.values() if item.name == name)


# --- settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("remote", "answer"),
    [
        ("gdrive:x", Answer.PASS),
        ("box:x", Answer.PASS),
        ("nas:x", Answer.PASS),
        ("dav:x", Answer.PASS),
        ("aws:x", Answer.PASS),
        ("b2:x", Answer.PASS),
        ("ftps:x", Answer.PASS),
        ("safe:x", Answer.PASS),
        ("short:x", Answer.PASS),
        ("clear:x", Answer.FAIL),
        ("site:", Answer.FAIL),
        ("minio:x", Answer.FAIL),
        ("ftp:x", Answer.FAIL),
        ("ftps-blind:x", Answer.FAIL),
        ("smb:x", None),
        ("here:x", None),
        ("round:x", None),
        ("nobody:x", None),
        ('dav,url="http://elsewhere":x', None),
    ],
)
def test_the_way_to_the_provider_is_told_by_the_settings(remote: str, answer: Answer | None) -> None:
    seen = protection(resolved(remote)).get(Safeguard.TRANSPORT)
    assert (seen.answer if seen else None) is answer


def test_a_certificate_that_nobody_checks_protects_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_NO_CHECK_CERTIFICATE", "true")
    assert protection(resolved("gdrive:x"))[Safeguard.TRANSPORT].answer is Answer.FAIL


def test_the_surroundings_come_before_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_WEBDAV_URL", "http://elsewhere")
    assert protection(resolved("dav:x"))[Safeguard.TRANSPORT].answer is Answer.FAIL
    monkeypatch.setenv("RCLONE_CONFIG_DAV_URL", "https://elsewhere")
    assert protection(resolved("dav:x"))[Safeguard.TRANSPORT].answer is Answer.PASS
    monkeypatch.setenv("RCLONE_CONFIG_MADE_TYPE", "dropbox")
    assert resolved("made:x").kind == "dropbox"


def test_crypt_encrypts_unless_its_data_is_left_out() -> None:
    assert protection(resolved("safe:x"))[Safeguard.ENCRYPTION].answer is Answer.PASS
    assert protection(resolved("half:x"))[Safeguard.ENCRYPTION].answer is Answer.FAIL
    assert Safeguard.ENCRYPTION not in protection(resolved("gdrive:x"))


def test_a_remote_is_followed_to_what_holds_the_bytes() -> None:
    assert (resolved("short:2024").kind, resolved("short:2024").folder) == ("dropbox", "Backups/PACS/2024")
    assert (resolved("safe:x").kind, resolved("safe:x").spoken_to, resolved("safe:x").folder) == (
        "drive",
        "crypt",
        None,
    )
    assert (resolved("parts:x").kind, resolved("parts:x").spoken_to) == ("dropbox", "chunker")
    assert resolved(":local:/tmp").kind == resolved("here:x").kind == resolved("/tmp/a:b").kind == "local"
    assert resolved(':webdav,vendor=rclone,url="http://127.0.0.1:80":x').folder == "x"


def test_what_fails_together_has_one_name_and_no_secret_in_it() -> None:
    names = {remote: host(resolved(f"{remote}:x"), None) for remote in SETTINGS}
    share = Mount(device="0:50", filesystem="nfs4", source="NAS.example.com:/images", options=frozenset())
    assert names["nas"] == names["known"] == names["smb"] == server(share)
    assert names["safe"] == names["gdrive"]
    assert names["parts"] == names["short"] == names["box"]
    assert names["here"] is None
    assert len({names[remote] for remote in ("gdrive", "team", "box", "nas", "dav", "aws", "minio", "b2")}) == 8
    secret = {"type": "webdav", "url": "https://user:secret@dav.example.com"}
    assert host(resolve("dav:x", lambda name: secret), None) == names["dav"]
    mine = {"type": "sftp", "host": "localhost"}
    assert host(resolve("nas:x", lambda name: mine), None) is None
    aws = {**SETTINGS["aws"], "secret_access_key": "another"}
    assert host(resolve("aws:x", lambda name: aws), None) == names["aws"]
    assert host(resolved("gdrive:x"), "clinic@example.com") == host(resolved("team:x"), "clinic@example.com")


def test_no_secret_shows_where_a_remote_is_printed() -> None:
    assert "SECRET" not in repr(resolved("aws:x"))


def test_the_pace_is_that_of_what_holds_the_bytes(tmp_path: Path) -> None:
    assert [objects_per_second(kind) for kind in ("drive", "dropbox", "webdav", "s3")] == [12, 90, 90, None]
    config = tmp_path / "pace.conf"
    config.write_text(
        "[gdrive]\ntype = drive\n[safe]\ntype = crypt\nremote = gdrive:vault\n[fast]\ntype = drive\n"
        "pacer_min_sleep = 10ms\n[nas]\ntype = sftp\nhost = nas\n"
    )
    remotes = ["gdrive:x", "safe:x", "fast:x", "nas:x"]
    with serve([target_of(remote, config) for remote in remotes]) as targets:
        assert [pace(target) for target in targets] == [12, 12, None, None]
    assert pace(target_of("gdrive:x", config)) is None


# --- Google Drive: the real client, a fake provider ---------------------------------------------------------


def test_a_drive_that_nobody_else_may_open_passes_and_costs_no_request(drive: Drive) -> None:
    drive.page = 10
    drive.put({f"xrays/many/{number}".encode(): b"x" for number in range(95)})
    found = shown()
    assert found.seen[Safeguard.PUBLIC_ACCESS].answer is Answer.PASS
    assert found.host == host(resolved("gdrive:x"), "clinic@example.com")
    assert not drive.asked["permission"]
    # A page for each ten objects, two more for folders, two to find the folder itself.
    assert drive.asked["list"] <= 10 + 2 + 4
    assert not drive.content_bytes


def test_a_drive_open_to_many_fails_and_says_how_much_is_open(drive: Drive) -> None:
    drive.items[item(drive, "deep")].open_to = "domain"
    assert public() == Seen(answer=Answer.FAIL, detail="open to the whole domain", count=2)
    drive.items[item(drive, "one.dcm")].open_to = "anyone"
    assert public() == Seen(answer=Answer.FAIL, detail="open to anyone", count=3)


def test_a_public_folder_above_is_seen_in_what_lies_in_it(drive: Drive) -> None:
    drive.items[item(drive, "xrays")].open_to = "anyone"
    assert public().count == 3


def test_one_file_whose_permissions_do_not_show_is_no_pass(drive: Drive) -> None:
    drive.faults.hidden.add("two.dcm")
    assert (public().answer, public().count) == (Answer.NOT_PERMITTED, 1)
    drive.items[item(drive, "one.dcm")].open_to = "anyone"
    assert (public().answer, public().count) == (Answer.FAIL, 1)


def test_a_drive_that_was_not_listed_whole_does_not_pass(drive: Drive) -> None:
    drive.faults.unlisted.add("deep")
    with open_store(target_of("cloud:xrays")) as store:
        assert any(isinstance(item, Gap) for item in store.listing(""))
        assert store.safeguards().seen[Safeguard.PUBLIC_ACCESS].answer is Answer.NOT_ASSESSED


def test_permissions_that_are_refused_cost_the_listing_nothing(drive: Drive) -> None:
    drive.put({f"xrays/{number}".encode(): b"x" for number in range(300)})
    drive.faults.unshared = True
    with open_store(target_of("cloud:xrays")) as store:
        assert len(listed(store)) == 302
        seen = store.safeguards().seen[Safeguard.PUBLIC_ACCESS]
    assert seen == Seen(answer=Answer.NOT_PERMITTED, detail="the login may not see who has access")


def test_a_shared_drive_is_not_asked_and_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake(Drive(), tmp_path, monkeypatch) as drive:
        config = Path(os.environ["RCLONE_CONFIG"])
        config.write_text(config.read_text() + "team_drive = root-id\n")
        drive.items[item(drive, "one.dcm")].open_to = "anyone"
        assert Safeguard.PUBLIC_ACCESS not in shown().seen
        assert not drive.asked["permission"]


def test_objects_are_the_same_with_permissions_and_without(drive: Drive) -> None:
    folder = item(drive, "xrays")
    drive.add("one.dcm", folder, data=b"other bytes")
    drive.add("again", folder, mime=SHORTCUT, leads_to=drive.add("elsewhere", mime=FOLDER))
    with open_store(target_of("cloud:xrays")) as store:
        shown = listed(store)
        drive.faults.unshared = True
        assert listed(store) == shown


# --- Dropbox: the real client, a fake provider --------------------------------------------------------------


def test_a_folder_without_public_links_passes(dropbox: Dropbox) -> None:
    dropbox.share("/xrays", "team_only")
    dropbox.share("/brochure.pdf")
    dropbox.share("/xrays-old/one.dcm")
    found = shown()
    assert found.seen[Safeguard.PUBLIC_ACCESS].answer is Answer.PASS
    assert found.host == host(resolved("box:x"), "dbid:clinic")
    assert dropbox.asked["sharing/list_shared_links"] == 1


def test_public_links_to_a_folder_above_it_or_in_it_fail(dropbox: Dropbox) -> None:
    dropbox.put({b"clinic/XRays/Deep/3.dcm": b"3"})
    for path in ("/clinic", "/clinic/XRays", "/clinic/XRays/Deep/3.dcm", "/clinic/other", "/xrays"):
        dropbox.share(path)
    dropbox.page = 2
    assert public("cloud:clinic/XRays") == Seen(answer=Answer.FAIL, detail="public links", count=3)
    assert dropbox.asked["sharing/list_shared_links"] == 3


def test_a_login_that_may_not_list_links_is_not_permitted(dropbox: Dropbox) -> None:
    dropbox.faults.unshared = True
    assert public().answer is Answer.NOT_PERMITTED


def test_a_senseless_answer_about_links_is_no_pass(dropbox: Dropbox) -> None:
    dropbox.links = [{"name": "one.dcm", "path_lower": "/xrays/one.dcm", "link_permissions": {}}]
    assert public().answer is Answer.NOT_ASSESSED
    dropbox.links = []
    dropbox.share("/xrays/one.dcm")
    del dropbox.links[0]["path_lower"]
    assert (public().answer, public().count) == (Answer.NOT_ASSESSED, 1)


def test_links_are_asked_for_with_the_token_that_rclone_has_now(dropbox: Dropbox) -> None:
    Path(os.environ["RCLONE_CONFIG"]).write_text(dropbox.config(expired=True))
    dropbox.faults.renews = True
    assert public().answer is Answer.PASS
    assert dropbox.asked["token"] == 1


def test_the_way_of_rclone_is_taken_or_none(dropbox: Dropbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(target_of("cloud:xrays")) as store:
        listed(store)
        monkeypatch.setenv("RCLONE_HTTP_PROXY", "http://127.0.0.1:9")
        assert store.safeguards().seen[Safeguard.PUBLIC_ACCESS].answer is Answer.NOT_ASSESSED
        monkeypatch.setenv("RCLONE_CA_CERT", "/nowhere")
        assert store.safeguards().seen[Safeguard.PUBLIC_ACCESS].answer is Answer.NOT_ASSESSED
    assert not dropbox.asked["sharing/list_shared_links"]


def test_the_provider_that_asks_for_patience_is_asked_again(dropbox: Dropbox) -> None:
    with open_store(target_of("cloud:xrays")) as store:
        listed(store)
        dropbox.faults.throttle = 1
        assert store.safeguards().seen[Safeguard.PUBLIC_ACCESS].answer is Answer.PASS
    assert dropbox.asked["throttled"] == 1


def test_a_token_is_in_no_argument_and_in_no_answer(dropbox: Dropbox) -> None:
    dropbox.token = "sl.secret-token-of-the-account"
    config = Path(os.environ["RCLONE_CONFIG"])
    config.write_text(config.read_text().replace('"access_token":"t"', f'"access_token":"{dropbox.token}"'))
    with open_store(target_of("cloud:xrays")) as store:
        found = store.listing("")
        first = next(found)
        assert not running(dropbox.token)
        assert not [item for item in (first, *found) if isinstance(item, Gap)]
        shown = store.safeguards()
    assert shown.seen[Safeguard.PUBLIC_ACCESS].answer is Answer.PASS
    assert dropbox.token not in repr(shown)


def test_links_to_what_crypt_renames_are_undecided(dropbox: Dropbox, tmp_path: Path) -> None:
    config = Path(os.environ["RCLONE_CONFIG"])
    obscure = [RCLONE, "obscure", "secret"]
    hidden = subprocess.run(obscure, check=True, capture_output=True, text=True).stdout.strip()
    config.write_text(
        f"{config.read_text()}[safe]\ntype = crypt\nremote = cloud:xrays\npassword = {hidden}\n"
        "filename_encryption = off\nsuffix = none\n"
    )
    with open_store(target_of("safe:")) as store:
        list(store.listing(""))
        dropbox.share("/elsewhere")
        assert store.safeguards().seen[Safeguard.PUBLIC_ACCESS].answer is Answer.NOT_ASSESSED
