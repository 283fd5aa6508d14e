"""Show, study by study, whether a DICOM archive has retrievable exact copies."""

__version__ = "0.1.0"
