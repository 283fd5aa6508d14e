"""Inventories → what each instance of a primary is on each backup, and what the primaries lost.

All of it is joins by SOP Instance UID inside one DuckDB; only counts and the few differing pairs come out.
"""
