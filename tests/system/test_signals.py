"""The application sees the signals, results and job control that it would see untraced."""

import os
import pathlib
import pty
import select
import signal
import time

from harness import DEADLINE, TRACEDUMP, expect_equal, main, program, wait_for
from ways import same_as_untraced


def ignored_signals(lab):
    said = same_as_untraced(lab, [program("ignored_signals")])
    expect_equal(said.count("woken"), 5, "waits that ignored signals did not end")
    expect_equal(said.count("Interrupted"), 2, "waits that caught signals ended")


def own_signals(lab):
    same_as_untraced(lab, [program("own_signals")], status=5)


def own_filter(lab):
    said = same_as_untraced(lab, [program("own_filter")])
    assert "listener: -1 Network is down" in said, said


def children_that_are_stopped(lab):
    """Their parent hears of it, they rest meanwhile with all their threads, and a storm of stops ends as it should."""
    said = same_as_untraced(lab, [program("stopped_children")])
    expect_equal(said.split("\n")[:3], ["stopped by 19", "rests", "continued"], "what it printed")
    expect_equal(said.split("\n")[-3:], ["runs", "killed by 15", ""], "what it printed last")


def signal_to_the_whole_group(lab):
    """Also those that tracedump has no use for, and that would end it."""
    for name in ("USR1", "USR2", "ALRM", "PROF", "IO", "VTALRM", "PWR", "RTMIN+5"):
        script = f"trap 'echo got' {name}; kill -{name} 0; echo alive; exit 5"
        traced = lab.tracedump(["--", "bash", "-c", script], start_new_session=True)
        expect_equal((traced.wait(), traced.stdout()), (5, "got\nalive\n"), name)


class Terminal:
    """An interactive shell of a pseudo-terminal, in the near namespace."""

    def __init__(self, lab):
        self.said = ""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(lab.folder)
            os.environ.update(PS1="ready> ", TERM="dumb")
            os.execvp("nsenter", ["nsenter", f"--net=/run/netns/{lab.near}", "bash", "--norc", "--noprofile", "-i"])
        self.pid = pid
        self.expect("ready> ")

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, text):
        """Reads on until the text has come, and forgets all up to it."""
        end = time.monotonic() + DEADLINE
        while text not in self.said:
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"waited for {text!r}; the terminal shows {self.said!r}")
            self.said += os.read(self.fd, 4096).decode(errors="replace")
        before, _, self.said = self.said.partition(text)
        return before

    def await_foreground(self, name):
        """Until a program of that name is who the terminal's keys go to."""
        def is_there():
            try:
                return pathlib.Path(f"/proc/{os.tcgetpgrp(self.fd)}/comm").read_text() == name + "\n"
            except OSError:
                return False
        wait_for(f"{name} in the foreground", is_there)

    def close(self):
        self.type("\nexit 0\nexit 0\n")
        os.close(self.fd)
        os.waitpid(self.pid, 0)


TIDY = """
import os, signal, sys, time
def tidy_up(number, frame):
    print("tidy", flush=True)
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, tidy_up)
    print("back", flush=True)
signal.signal(signal.SIGTSTP, tidy_up)
print("begun", flush=True)
sys.stdin.readline()
print("ended", flush=True)
"""


def job_control(lab):
    """Ctrl-Z: the command's own handler runs, the shell gets the terminal back; fg, twice; then it ends as it would."""
    (lab.folder / "tidy.py").write_text(TIDY)
    terminal = Terminal(lab)
    try:
        terminal.type(f"{' '.join(TRACEDUMP)} -w capture.pcap -- python3 tidy.py\n")
        terminal.expect("begun")
        for _ in range(2):
            terminal.type("\x1a")
            terminal.expect("tidy")
            terminal.expect("Stopped")
            terminal.expect("ready> ")
            terminal.type("fg\n")
            terminal.expect("back")
        terminal.type("\n")
        terminal.expect("ended")
        terminal.expect("ready> ")
        terminal.type("echo status $?\n")
        terminal.expect("status 0")
    finally:
        terminal.close()


def interactive_shell(lab):
    """A shell under tracedump has its own jobs: background, foreground, stopped, continued, interrupted."""
    terminal = Terminal(lab)
    try:
        terminal.type(f"{' '.join(TRACEDUMP)} -w capture.pcap -- bash --norc --noprofile -i\n")
        terminal.expect("listening on any")
        terminal.type("PS1='inner> '\n")
        terminal.expect("\r\ninner> ")
        terminal.type("sleep 100 &\n")
        terminal.expect("inner> ")
        terminal.type("jobs\n")
        terminal.expect("Running")
        terminal.expect("inner> ")
        terminal.type("fg\n")
        terminal.await_foreground("sleep")
        terminal.type("\x1a")
        terminal.expect("Stopped")
        terminal.expect("inner> ")
        terminal.type("bg\n")
        terminal.expect("inner> ")
        terminal.type("jobs\n")
        terminal.expect("Running")
        terminal.expect("inner> ")
        terminal.type("fg\n")
        terminal.await_foreground("sleep")
        terminal.type("\x03")
        terminal.expect("inner> ")
        terminal.type("echo status $?\n")
        terminal.expect("status 130")
        terminal.expect("inner> ")
        terminal.type("exit 3\n")
        terminal.expect("ready> ")
        terminal.type("echo status $?\n")
        terminal.expect("status 3")
    finally:
        terminal.close()


def interrupt_from_the_terminal(lab):
    terminal = Terminal(lab)
    try:
        (lab.folder / "seven.py").write_text("""
import signal, sys
signal.signal(signal.SIGINT, lambda number, frame: sys.exit(7))
print("begun", flush=True)
signal.pause()
""")
        terminal.type(f"{' '.join(TRACEDUMP)} -w capture.pcap -- python3 seven.py\n")
        terminal.expect("begun\r\n")
        terminal.type("\x03")
        terminal.expect("packets captured")
        terminal.expect("ready> ")
        terminal.type("echo status $?\n")
        terminal.expect("status 7")
    finally:
        terminal.close()


def stop_and_continue_storm(lab):
    """Whoever stops and continues a process a hundred times finds it stopped or running as untraced."""
    target = lab.start(["sleep", "60"])
    traced = lab.attach(target)
    state = lambda: target.status("State")[0]
    for _ in range(100):
        target.signal(signal.SIGSTOP)
        wait_for("the stop", lambda: state() in "Tt")
        target.signal(signal.SIGCONT)
        wait_for("the end of the stop", lambda: state() == "S")
    target.signal(signal.SIGSTOP)
    wait_for("the stop", lambda: state() in "Tt")
    traced.end()
    expect_equal(state(), "T", "state after the detach")
    target.signal(signal.SIGCONT)
    wait_for("the end of the stop", lambda: state() == "S")


main(ignored_signals, own_signals, own_filter, children_that_are_stopped, signal_to_the_whole_group, job_control,
     interactive_shell, interrupt_from_the_terminal, stop_and_continue_storm)
