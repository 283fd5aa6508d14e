"""Side by side with peers, in one run, on the same files."""

# What a command of ours prints before the seconds that its work alone took. It stands here, for whoever imports more
# than it needs is measured with that.
STEP = "step: "
