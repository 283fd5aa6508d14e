"""What one would write first: pydicom and hashlib in a loop: `python -m benchmarks.run_pydicom FOLDER`."""

import hashlib
import sys
from pathlib import Path

from pydicom import dcmread


def main() -> None:
    """Print how many files were read."""
    found = {}
    for path in Path(sys.argv[1]).rglob("*.dcm"):
        ds = dcmread(path, stop_before_pixels=True)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        found[path] = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID, ds.Modality, digest)
    print(len(found))


if __name__ == "__main__":
    main()
