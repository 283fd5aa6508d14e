"""What the Standard lists: transfer syntaxes, classes with pixel data, modalities, value representations."""

# ruff: noqa: SIM905  long lists of short words read better as text

SYNTAX = "1.2.840.10008.1.2"
IMPLICIT_LITTLE = SYNTAX
EXPLICIT_LITTLE = f"{SYNTAX}.1"
DEFLATED = f"{SYNTAX}.1.99"
EXPLICIT_BIG = f"{SYNTAX}.2"
DIRECTORY = "1.2.840.10008.1.3.10"

NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG})

# A whole video stream may lie in one fragment, whatever the number of its frames (PS3.5 A.4.6).
VIDEO = frozenset([f"{SYNTAX}.4.{number}" for number in (*range(100, 109), *(f"{n}.1" for n in range(100, 107)))])

# The pixels are kept elsewhere and only referred to (PS3.5 A.6, A.7; PS3.5 A.11 for JPIP with HTJ2K).
REFERENCED = frozenset(f"{SYNTAX}.{number}" for number in ("4.94", "4.95", "4.204", "4.205", "7.1", "7.2", "7.3"))

# PS3.6 Table A-1.
TRANSFER_SYNTAXES = (
    NATIVE
    | VIDEO
    | REFERENCED
    | frozenset(
        f"{SYNTAX}.{number}"
        for number in (
            "1.98 4.50 4.51 4.52 4.53 4.54 4.55 4.56 4.57 4.58 4.59 4.60 4.61 4.62 4.63 4.64 4.65 4.66 4.70 "
            "4.80 4.81 4.90 4.91 4.92 4.93 4.110 4.111 4.112 4.201 4.202 4.203 5 8.1"
        ).split()
    )
)

# Syntaxes that cannot be lossless, and those that cannot be lossy (PS3.5 8.2, A.4).
ALWAYS_LOSSY = VIDEO | frozenset(f"{SYNTAX}.4.{number}" for number in (*range(50, 57), *range(59, 65)))
MAY_BE_LOSSY = ALWAYS_LOSSY | frozenset(f"{SYNTAX}.4.{number}" for number in (81, 91, 93, 111, 112, 203))

# Storage SOP classes whose IOD requires pixel data (PS3.4 B.5, PS3.3 A.1.4). RT Dose may hold curves only.
_STORAGE = "1.2.840.10008.5.1.4.1.1."
RT_DOSE = f"{_STORAGE}481.2"
PIXEL_CLASSES = frozenset(
    _STORAGE + suffix
    for suffix in (
        "1 1.1 1.1.1 1.2 1.2.1 1.3 1.3.1 2 2.1 2.2 3 3.1 4 4.1 4.3 4.4 5 6 6.1 6.2 6.3 7 7.1 7.2 7.3 7.4 "
        "12.1 12.1.1 12.2 12.2.1 12.3 13.1.1 13.1.2 13.1.3 13.1.4 13.1.5 14.1 14.2 20 30 66.4 66.7 66.8 "
        "77.1 77.2 77.1.1 77.1.1.1 77.1.2 77.1.2.1 77.1.3 77.1.4 77.1.4.1 77.1.5.1 77.1.5.2 77.1.5.4 "
        "77.1.5.5 77.1.5.6 77.1.5.7 77.1.5.8 77.1.6 77.1.7 77.1.8 77.1.9 81.1 82.1 128 128.1 130 481.1 "
        "481.23 481.24 501.1 501.2.1 501.2.2 601.1 601.2"
    ).split()
)

# Defined terms of Modality (0008,0060), in force and retired (PS3.3 C.7.3.1.1.1).
MODALITIES = frozenset(
    (
        "ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DMS DG DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD "
        "IO IOL IVOCT IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN "
        "POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV "
        "SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA XA XAPROTOCOL XC AS CD CF CP CS DD DF DM DS EC FA FS "
        "LP MA MS OPR ST VF"
    ).split()
)

# Value representations by the width of their length field in explicit VR (PS3.5 7.1.2).
SHORT_VRS = frozenset("AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
TEXT_VRS = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())
