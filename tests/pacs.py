"""Real PACS on free ports of this computer, for as long as a test needs them."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.servers import binary, free_ports, running, wait

DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "auditor", "a password"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """A server that is up: DICOMweb at `dicomweb`, its own REST at `rest`, DIMSE at `port` as `ae_title`."""

    rest: str
    dicomweb: str
    port: int
    ae_title: str = "ORTHANC"

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Ask its own REST, as somebody who may do everything."""
        answer = urllib3.request(method, f"{self.rest}{path}", body=body, headers=SIGNED_IN)
        assert answer.status == 200, f"{method} {path}: {answer.status}"
        return answer.data

    def upload(self, data: bytes) -> str:
        """Store a file as it is, and return Orthanc's name for it."""
        return str(json.loads(self.request("POST", "/instances", data))["ID"])


SIGNED_IN = urllib3.make_headers(basic_auth=f"{USER}:{PASSWORD}")


@contextmanager
def orthanc(**settings: Any) -> Iterator[Orthanc]:
    """Orthanc with its DICOMweb plugin; `settings` replace those of its configuration.

    A DIMSE client `MOVER` that is moved to listens at the port `mover`, where that is given.
    """
    program = binary("Orthanc")
    if not DICOMWEB.exists():
        pytest.skip("orthanc-dicomweb is not installed: script/bootstrap dev")
    mover = settings.pop("mover", None)
    with tempfile.TemporaryDirectory(prefix="exactcopy-orthanc-") as folder:
        http, dicom = free_ports(2)
        config = {
            "Name": "test",
            "StorageDirectory": f"{folder}/db",
            "IndexDirectory": f"{folder}/db",
            "HttpPort": http,
            "DicomPort": dicom,
            "DicomAet": "ORTHANC",
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "DicomAlwaysAllowMove": True,
            "DicomModalities": {"MOVER": ["MOVER", "127.0.0.1", mover]} if mover else {},
            "UnknownSopClassAccepted": True,
            "StorageCompression": False,
            "SyncStorageArea": False,
            "SaveJobs": False,
            "WebDavEnabled": False,
            "Plugins": [str(DICOMWEB)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True},
            **settings,
        }
        path = Path(folder, "orthanc.json")
        path.write_text(json.dumps(config))
        with running([program, str(path)], Path(folder), {"HOME": folder, "PATH": "/usr/bin:/bin"}) as process:
            rest = f"http://127.0.0.1:{http}"
            wait(process, lambda: _answers(rest))
            yield Orthanc(rest=rest, dicomweb=f"{rest}/dicom-web", port=dicom)


def _answers(rest: str) -> bool:
    try:
        return urllib3.request("GET", f"{rest}/system", headers=SIGNED_IN, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False
