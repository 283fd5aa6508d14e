"""A small made-up clinic with planted faults. No real patient data."""
