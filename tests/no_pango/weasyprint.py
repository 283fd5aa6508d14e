"""What WeasyPrint is on a machine without Pango; audits of which no test looks at the PDF run with it."""

message = "cannot load library 'libpango-1.0-0'"
raise OSError(message)
