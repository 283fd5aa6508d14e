"""Read DICOM as it is found: identify, compare and decode instances without ever trusting them."""
