"""Archives to measure with: valid DICOM files, as many and as large as asked for."""

import os
import shutil
import sys
from io import BytesIO
from pathlib import Path
from random import Random

_PER_STUDY, _PER_SERIES = 400, 100
# What differs from file to file, at a fixed length: it is written over the first file's.
_STUDY, _SERIES, _INSTANCE = "2.25.1{:020}", "2.25.2{:020}", "2.25.3{:020}"
_PATIENT, _PATIENT_ID, _NUMBER, _PLACE = "Bench{:06}^Mark", "B{:07}", "9{:07}", "-{:07}.5"


def make_files(folder: Path, count: int, kilobytes: int) -> None:
    """Write `count` CT-like files with so many KB of pixels below `folder`, unless exactly these are there already."""
    label = folder / ".benchmark"
    if label.is_file() and label.read_text() == f"{count} {kilobytes}":
        return
    if folder.exists() and any(folder.iterdir()) and not label.is_file():
        raise SystemExit(f"{folder}: holds something else. Name another folder.")
    shutil.rmtree(folder, ignore_errors=True)
    header = _header(kilobytes)
    places = {form: header.index(form.format(0).encode()) for form in _values(0)}
    meta_instance = header.index(_INSTANCE.format(0).encode())
    places[_INSTANCE] = header.index(_INSTANCE.format(0).encode(), meta_instance + 1)
    size = kilobytes * 1024
    pixels = Random(1).randbytes(size + 64 * 1024)  # noqa: S311  pixels, not secrets
    for number in range(count):
        series = folder / f"ST{number // _PER_STUDY:04}" / f"SE{number // _PER_SERIES:04}"
        series.mkdir(parents=True, exist_ok=True)
        for form, value in _values(number).items():
            text = value.encode()
            header[places[form] : places[form] + len(text)] = text
            if form == _INSTANCE:
                header[meta_instance : meta_instance + len(text)] = text
        start = number * 7 % (64 * 1024)
        with (series / f"IM{number:06}.dcm").open("wb") as file:
            file.write(header)
            file.write(pixels[start : start + size])
    label.write_text(f"{count} {kilobytes}")


def _values(number: int) -> dict[str, str]:
    study = number // _PER_STUDY
    each = {_STUDY: study, _SERIES: number // _PER_SERIES, _INSTANCE: number}
    each |= {_PATIENT: study, _PATIENT_ID: study, _NUMBER: number, _PLACE: number}
    return {form: form.format(of) for form, of in each.items()}


def _header(kilobytes: int) -> bytearray:
    """Return the first file up to its pixels."""
    from pydicom import dcmread
    from pydicom.data import get_testdata_file
    from pydicom.uid import UID

    ds = dcmread(str(get_testdata_file("CT_small.dcm")))
    values = _values(0)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = UID(values[_STUDY]), UID(values[_SERIES])
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(values[_INSTANCE])
    ds.PatientName, ds.PatientID = values[_PATIENT], values[_PATIENT_ID]
    ds.InstanceNumber, ds.SliceLocation = values[_NUMBER], values[_PLACE]
    del ds[0xFFFCFFFC]
    ds.Rows, ds.Columns, ds.PixelData = kilobytes, 512, bytes(kilobytes * 1024)
    written = BytesIO()
    ds.save_as(written)
    return bytearray(written.getvalue()[: -kilobytes * 1024])


def link_copy(folder: Path, copy: Path) -> None:
    """Make `copy` a second archive of the same files, which takes no room."""
    for path in folder.rglob("*"):
        there = copy / path.relative_to(folder)
        if path.is_dir():
            there.mkdir(parents=True, exist_ok=True)
        elif not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, there)


def rclone() -> str:
    """Give the rclone beside this Python, or any other."""
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if not found:
        raise SystemExit("rclone is not there. Run script/bootstrap dev.")
    return found
