"""The ways in which a command comes under tracedump: launched under the seccomp filter; launched without it, stopped at
every system call; attached, stopped at every system call too."""

import os

from harness import expect_equal, expect_same

LAUNCHED, UNFILTERED, ATTACHED = WAYS = ("launched", "unfiltered", "attached")


class Traced:
    """A command that one of these ways brought under tracedump, and that runs now."""

    serial = 0

    def __init__(self, lab, way, command, **options):
        Traced.serial += 1
        file = f"{way}{Traced.serial}.pcap"
        if way == ATTACHED:
            # It is attached to before its exec, while it waits for a line from a pipe.
            go = lab.folder / f"go{Traced.serial}"
            os.mkfifo(go)
            self.process = lab.start(["sh", "-c", f'read x <{go}; exec "$@"', "sh", *command], **options)
            self.tracedump = lab.attach(self.process, file=file)
            go.write_text("\n")
        else:
            self.process = self.tracedump = lab.tracedump(
                ["--", *command], options=["--no-seccomp"] if way == UNFILTERED else [], file=file, **options)

    def __getattr__(self, name):
        return getattr(self.process, name)

    def end(self, status=0):
        """Both have ended, the command with this status; returns the packets."""
        expect_equal(self.process.wait(), status, f"status: {self.process.stderr()}")
        if self.tracedump is not self.process:
            expect_equal(self.tracedump.wait(), 0, f"status of tracedump: {self.tracedump.stderr()}")
        return self.tracedump.packets()


def same_as_untraced(lab, command, status=0, ways=WAYS, talks=False):
    """It ends and says as untraced, in each way; the file equals the truth, if it talks. Returns what it says."""
    untraced = lab.start(command)
    expect_equal(untraced.wait(), status, f"status, untraced: {untraced.stderr()}")
    for way in ways:
        truth = lab.truth() if talks else None
        traced = Traced(lab, way, command)
        captured = traced.end(status)
        expect_equal(traced.stdout(), untraced.stdout(), f"what it printed, {way}")
        if talks:
            expect_same(truth.packets(), captured)
    return untraced.stdout()
