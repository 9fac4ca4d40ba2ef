"""Exit statuses, and the one line that says why."""

import os
import signal
import subprocess

from harness import FAR, TRACEDUMP, expect_equal, main, program, wait_for
import pcap
from talker import Talker


# AddressSanitizer forbids cores to its process, and so to the command.
if "ASAN_OPTIONS" in os.environ:
    os.environ["ASAN_OPTIONS"] += ":disable_coredump=0"


def run(lab, *arguments, prefix=()):
    process = lab.start([*prefix, *TRACEDUMP, *arguments])
    return process.wait(), process


def expect_error(lab, arguments, *words, status=1, prefix=()):
    """One line on standard error, with these words in it."""
    got, process = run(lab, *arguments, prefix=prefix)
    lines = process.stderr().splitlines()
    expect_equal((got, len(lines)), (status, 1), f"status and lines of {arguments}: {lines}")
    assert lines[0].startswith("tracedump: "), lines
    for word in words:
        assert word in lines[0], f"{word!r} is not in {lines[0]!r}"


def of_the_command(lab):
    for status in (0, 1, 42, 255):
        lab.launch(["sh", "-c", f"exit {status}"], status=status)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE, signal.SIGUSR2):
        lab.launch(["bash", "-c", f"kill -{int(number)} $$; sleep 10"], status=-number)


def nobody_reads_what_it_says(lab):
    """As in `tracedump ... 2>&1 | head -1`: the status is still the command's."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [*TRACEDUMP, "-V", "-w", lab.folder / "x.pcap", "--", "sh", "-c", "exit 42"]
    try:
        process = subprocess.run(command, stderr=writer, stdin=subprocess.DEVNULL, timeout=60, check=False)
    finally:
        os.close(writer)
    expect_equal(process.returncode, 42, "status")


def not_executed(lab):
    expect_error(lab, ["no-such-command"], "no-such-command", "no such file", status=127)
    expect_error(lab, ["./nowhere/x"], "no such file", status=127)
    expect_error(lab, ["/etc/passwd"], "/etc/passwd", "permission denied", status=126)
    expect_error(lab, ["/"], "permission denied", status=126)


def script_without_interpreter(lab):
    script = lab.folder / "script"
    script.write_text("exit 9\n")
    script.chmod(0o755)
    lab.launch([script], status=9)


def bad_arguments(lab):
    expect_error(lab, [], "--help")
    expect_error(lab, ["-s", "-1", "true"], "-1")
    expect_error(lab, ["-s", "abc", "true"], "abc")
    expect_error(lab, ["-s", "300000", "true"], "262144")
    expect_error(lab, ["--debug=9", "true"], "9")
    expect_error(lab, ["--buffer-size=0", "true"], "0")
    expect_error(lab, ["--sensor=foo", "true"], "foo", "auto, bpf, ptrace")
    expect_error(lab, ["--nonsense", "true"], "--nonsense")
    expect_error(lab, ["1", "true"], "true")
    expect_error(lab, ["-u", "no-such-user", "true"], "no-such-user")
    expect_error(lab, ["-w", "/no/such/folder/file", "true"], "/no/such/folder/file", "no such file")


def attach_refused(lab):
    expect_error(lab, ["4194304"], "4194304", "no such process")
    sleeper = lab.start(["sleep", "60"])
    tracer = lab.start(["strace", "-o", "/dev/null", "-p", str(sleeper.pid)])
    wait_for("strace", lambda: sleeper.status("TracerPid") == str(tracer.pid))
    expect_error(lab, [str(sleeper.pid)], "already traced", str(tracer.pid))
    got, process = run(lab, "$$", prefix=["sh", "-c", 'exec "$0" $$'])
    expect_equal(got, 1, "status")
    assert "itself" in process.stderr(), process.stderr()
    expect_error(lab, ["2"], "kernel thread")


def file_of_a_capture_that_does_not_begin(lab):
    """What was in it stays, and where there was none there is none."""
    old = lab.folder / "old.pcap"
    old.write_text("precious")
    nobody = 4190000
    assert not os.path.exists(f"/proc/{nobody}")
    for file in (old, lab.folder / "new.pcap"):
        expect_error(lab, ["-w", file, str(nobody)], "no such process")
    expect_equal(old.read_text(), "precious", "the old file")
    assert not (lab.folder / "new.pcap").exists()


def without_rights(lab):
    """What is missing is named: the capability, or the system call that the kernel is too old for."""
    expect_error(lab, ["true"], "CAP_NET_RAW", prefix=["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"])
    expect_error(lab, ["true"], "pidfd_getfd", "5.6", prefix=[program("without_syscall"), "438"])


def full_disk(lab):
    """The command ends undisturbed, the file is valid, the loss is counted."""
    lab.web_server(lab.far, files={"large": b"x" * 1000000})
    disk = lab.folder / "disk"
    disk.mkdir()
    script = (f"mount -t tmpfs -o size=64k none {disk} && {' '.join(TRACEDUMP)} -w {disk}/full.pcap -- "
              f"curl -sS -o page http://{FAR}:8080/large; status=$?; cp {disk}/full.pcap kept.pcap; exit $status")
    process = lab.start(["unshare", "--mount", "sh", "-c", script])
    expect_equal(process.wait(), 1, "status")
    expect_equal((lab.folder / "page").stat().st_size, 1000000, "what the command received")
    lines = process.stderr().splitlines()
    assert any("no space left on device" in line for line in lines), lines
    numbers = {line.split(" ", 1)[1]: int(line.split()[0]) for line in lines if line.split()[0].isdigit()}
    captured, received = numbers["packets captured"], numbers["packets received by filter"]
    expect_equal(captured + numbers["packets lost: the capture file could not take them"], received, "the counts")
    expect_equal(len(pcap.read(lab.folder / "kept.pcap")), captured, "packets in the file")
    subprocess.run(["tcpdump", "-r", lab.folder / "kept.pcap"], check=True, capture_output=True)


def file_that_takes_nothing(lab):
    """/dev/full: the command is undisturbed, the status ours."""
    process = lab.start([*TRACEDUMP, "-w", "/dev/full", "--", "sh", "-c", "echo undisturbed; exit 3"])
    expect_equal((process.wait(), process.stdout()), (1, "undisturbed\n"), f"status and words: {process.stderr()}")
    assert "no space left on device" in process.stderr(), process.stderr()


def attached_twice(lab):
    """A process that is named twice, once by one of its threads, is one."""
    target = Talker(lab, "many_threads")
    thread = max(map(int, os.listdir(f"/proc/{target.pid}/task")))
    assert thread != target.pid
    traced = lab.attach(target.pid, target.pid, thread)
    traced.end()
    assert "\n1 process," in traced.stderr(), traced.stderr()
    expect_equal(target.status("TracerPid"), "0", "TracerPid")
    traced = lab.attach(thread)
    traced.end()
    assert "\n1 process," in traced.stderr(), traced.stderr()
    target.hang_up()
    expect_equal(target.wait(), 0, "status of the target")


def one_core(lab):
    """A command that dumps core does it once: tracedump, which dies by the same signal, does not."""
    if lab.run(["cat", "/proc/sys/kernel/core_pattern"]).startswith("|"):
        return  # cores go to a program, where nobody can count them
    counts = []
    for prefix in ([], [*TRACEDUMP, "-w", lab.folder / "x.pcap", "--"]):
        process = lab.start(["bash", "-c", 'ulimit -c unlimited; exec "$@"', "bash", *prefix, "bash", "-c",
                             "kill -SEGV $$"])
        expect_equal(process.wait(), -signal.SIGSEGV, "death")
        counts.append(len(list(lab.folder.glob("core*"))))
        for core in lab.folder.glob("core*"):
            core.unlink()
    expect_equal(counts, [1, 1], "cores, untraced and traced")


def help_and_version(lab):
    status, process = run(lab, "--help")
    lines = process.stdout().splitlines()
    assert status == 0 and len(lines) <= 24 and max(map(len, lines)) <= 80, lines
    status, process = run(lab, "--version")
    assert status == 0 and process.stdout().startswith("tracedump "), process.stdout()


main(of_the_command, nobody_reads_what_it_says, not_executed, script_without_interpreter, bad_arguments, attach_refused,
     file_of_a_capture_that_does_not_begin, without_rights, full_disk,
     file_that_takes_nothing, attached_twice, one_core, help_and_version)
