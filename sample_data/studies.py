"""What the made-up clinic has examined: patients that never were, examinations that never happened."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from typing import Any
from uuid import UUID, uuid5

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from sample_data.pictures import echo, radiograph

# UIDs under 2.25 are made from UUIDs and belong to nobody (PS3.5 B.2).
_NAMESPACE = UUID("5a3d0f1e-8c52-4b7e-9d61-0e6f2b7c4a10")
_CENTRAL = timezone(timedelta(hours=-6))

# Kind of study and days since, oldest first. What is less than two days old is given in hours.
_PACS = [
    ("chest", 1090), ("hand", 1042), ("mammo", 977), ("chest-cr", 921), ("knee", 860), ("us", 803),
    ("chest", 749), ("hand", 690), ("mammo", 641), ("chest-cr", 588), ("us-clip", 530), ("knee", 477),
    ("chest", 431), ("hand", 380), ("mammo", 322), ("chest-rle", 271), ("us", 230), ("chest-implicit", 184),
    ("knee", 151), ("mammo", 119), ("us-clip", 90), ("chest", 62), ("hand", 41), ("chest-cr", 29),
    ("mammo", 16), ("chest", 9), ("knee", 2),
]  # fmt: skip
_PACS_HOURS = [("hand", 14), ("chest", 5), ("us", 3)]
_SATELLITE = [
    ("chest-cr", 1001), ("hand", 820), ("knee", 655), ("chest-cr", 498), ("hand", 350),
    ("chest-cr", 205), ("knee", 98), ("hand", 33), ("chest-cr", 12),
]  # fmt: skip
_SATELLITE_HOURS = [("hand", 4)]

_NAMES = {
    "chest": ("CHEST 2 VIEWS", "CHEST", ("PA", "LL")),
    "hand": ("HAND 3 VIEWS", "HAND", ("PA", "LLO", "LL")),
    "knee": ("KNEE 2 VIEWS", "KNEE", ("AP", "LL")),
    "mammo": ("SCREENING MAMMOGRAM", "BREAST", ("R CC", "L CC", "R MLO", "L MLO")),
    "us": ("US ABDOMEN", "ABDOMEN", ("", "")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One examination; `number` also makes its accession number and its patient."""

    number: int
    site: str
    kind: str
    taken: datetime
    real_size: bool = False

    @property
    def study_instance_uid(self) -> str:
        """The same in every clinic that is ever generated."""
        return made_uid("study", self.number)

    @property
    def accession(self) -> str:
        """What the folders of the archive are called."""
        return f"RVI{self.number:05}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One object as its primary holds it: a whole DICOM file."""

    study: Study
    series: int
    number: int
    sop_instance_uid: str
    data: bytes

    @property
    def received(self) -> datetime:
        """When the archive wrote the file: a few minutes after the exposure."""
        return self.study.taken + timedelta(minutes=6, seconds=10 * self.series + 40 * self.number)


def made_uid(*parts: object) -> str:
    """Return the UID that these parts always get."""
    return f"2.25.{uuid5(_NAMESPACE, '/'.join(map(str, parts))).int}"


def schedule(now: datetime, *, real_size: bool) -> list[Study]:
    """Return the studies of both sites as seen from `now`, oldest first within a site."""
    studies = []
    sites = (("pacs", 0, _PACS, _PACS_HOURS), ("satellite", 100, _SATELLITE, _SATELLITE_HOURS))
    for site, first, days, hours in sites:
        kinds = [(kind, _working_hours(now, past, n)) for n, (kind, past) in enumerate(days)]
        kinds += [(kind, now - timedelta(hours=past)) for kind, past in hours]
        for number, (kind, taken) in enumerate(kinds, first + 1):
            large = real_size and kind == "chest"
            studies.append(Study(number=number, site=site, kind=kind, taken=taken, real_size=large))
    return studies


def former_study(now: datetime) -> Study:
    """Return a study that some backup still holds and no primary does."""
    return Study(number=77, site="pacs", kind="hand", taken=_working_hours(now, 1300, 3))


def outside_study(now: datetime) -> Study:
    """Return a study that came on a CD from elsewhere."""
    return Study(number=90, site="pacs", kind="chest-cr", taken=_working_hours(now, 700, 8))


def instances(study: Study) -> Iterator[Instance]:
    """Yield every instance of `study`."""
    part = study.kind.partition("-")[0]
    for number, view in enumerate(_NAMES[part][2], 1):
        yield _instance(study, 1, number, _image(study, number, view))
    if study.kind == "us-clip":
        yield _instance(study, 1, 3, _clip(study))
    if part == "mammo":
        yield _instance(study, 2, 1, _report(study))


def encode(ds: Dataset) -> bytes:
    """Return the dataset as a DICOM file (PS3.10)."""
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _working_hours(now: datetime, days: int, number: int) -> datetime:
    day = now.astimezone(_CENTRAL).date() - timedelta(days=days)
    minutes = 8 * 60 + number * 97 % 540
    return datetime.combine(day, time(tzinfo=_CENTRAL)) + timedelta(minutes=minutes)


def _instance(study: Study, series: int, number: int, ds: Dataset) -> Instance:
    uid = made_uid("instance", study.number, series, number)
    return Instance(study=study, series=series, number=number, sop_instance_uid=uid, data=encode(ds))


def _dataset(study: Study, series: int, number: int, sop_class: str, **elements: Any) -> FileDataset:
    """Return a dataset with what every object of a study carries, and `elements` by keyword."""
    meta = FileMetaDataset()
    uid = made_uid("instance", study.number, series, number)
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(uid)
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if study.kind == "chest-implicit" else ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    taken = study.taken.astimezone(_CENTRAL)
    site = {"pacs": "Main Street", "satellite": "Lakeside"}[study.site]
    common: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": sop_class,
        "SOPInstanceUID": uid,
        "StudyDate": f"{taken:%Y%m%d}",
        "StudyTime": f"{taken:%H%M%S}",
        "ContentDate": f"{taken:%Y%m%d}",
        "ContentTime": f"{taken + timedelta(seconds=40 * number):%H%M%S}",
        "AccessionNumber": study.accession,
        "Manufacturer": "Sample Devices",
        "InstitutionName": "Riverside Imaging",
        "StationName": site,
        "ReferringPhysicianName": "Sample^Referrer",
        "StudyDescription": _NAMES[study.kind.partition("-")[0]][0],
        "PatientName": f"Sample^Patient {study.number:02}",
        "PatientID": f"SAMPLE-{study.number:04}",
        "PatientBirthDate": f"{1940 + study.number % 60}0101",
        "PatientSex": "O",
        "StudyInstanceUID": study.study_instance_uid,
        "SeriesInstanceUID": made_uid("series", study.number, series),
        "StudyID": str(study.number),
        "SeriesNumber": series,
        "InstanceNumber": number,
    }
    for keyword, value in {**common, **elements}.items():
        setattr(ds, keyword, value)
    return ds


def _image(study: Study, number: int, view: str) -> FileDataset:
    part = study.kind.partition("-")[0]
    seed = _seed(study, number)
    if part == "us":
        pixels: Any = echo(seed, 240, 320)
        return _with_pixels(_dataset(study, 1, number, UltrasoundImageStorage, Modality="US"), pixels, 8)
    laterality, _, position = view.rpartition(" ")
    elements: dict[str, Any] = {"BodyPartExamined": _NAMES[part][1], "ViewPosition": position}
    elements["ImageLaterality"] = laterality or "U"
    elements["PresentationIntentType"] = "FOR PRESENTATION"
    sop_class, elements["Modality"] = DigitalXRayImageStorageForPresentation, "DX"
    rows, columns = (2800, 2300) if study.real_size else (400, 336)
    if study.kind in ("chest-cr", "hand"):
        sop_class, elements["Modality"] = ComputedRadiographyImageStorage, "CR"
    elif part == "mammo":
        sop_class, elements["Modality"] = DigitalMammographyXRayImageStorageForPresentation, "MG"
        rows, columns = 512, 384
    pixels = radiograph("breast" if part == "mammo" else part, seed, rows, columns)
    if laterality == "R":
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    ds = _with_pixels(_dataset(study, 1, number, sop_class, **elements), pixels, 12)
    if part == "mammo":
        ds.compress(JPEGLSLossless, generate_instance_uid=False)
    elif study.kind == "chest-rle":
        ds.compress(RLELossless, generate_instance_uid=False)
    return ds


def _with_pixels(ds: FileDataset, pixels: Any, bits: int) -> FileDataset:
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape[-2:]
    ds.BitsAllocated = 8 * pixels.itemsize
    ds.BitsStored, ds.HighBit = bits, bits - 1
    ds.PixelRepresentation = 0
    ds.add_new("PixelData", "OB" if pixels.itemsize == 1 else "OW", pixels.tobytes())
    return ds


def _clip(study: Study) -> FileDataset:
    """Return a clip as ultrasound machines send it: JPEG, lossy from the start."""
    frames = np.stack([echo(_seed(study, 30 + n), 192, 256, n * np.pi / 6) for n in range(12)])
    ds = _with_pixels(_dataset(study, 1, 3, UltrasoundMultiFrameImageStorage, Modality="US"), frames, 8)
    ds.NumberOfFrames = len(frames)
    ds.FrameTime = 40
    ds.FrameIncrementPointer = 0x00181063
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionRatio = 5
    ds.LossyImageCompressionMethod = "ISO_10918_1"
    encoded = []
    for frame in frames:
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", quality=75)
        encoded.append(buffer.getvalue())
    ds.PixelData = encapsulate(encoded)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return ds


def _report(study: Study) -> FileDataset:
    """Return a structured report: an object without pixels."""
    ds = _dataset(study, 2, 1, BasicTextSRStorage, Modality="SR")
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.PerformedProcedureCodeSequence = []
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = [_code("18748-4", "LN", "Diagnostic Imaging Report")]
    text = Dataset()
    text.RelationshipType, text.ValueType = "CONTAINS", "TEXT"
    text.ConceptNameCodeSequence = [_code("121071", "DCM", "Finding")]
    text.TextValue = "A made-up report. Nothing was found, for nobody was examined."
    ds.ContentSequence = [text]
    return ds


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _seed(study: Study, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{study.number}/{number}".encode()).digest()[:8], "big")
