"""Whoever the command becomes: set-uid programs, su, sudo, -u; and programs that are tracers themselves."""

import os
import shutil
import subprocess

import pcap
from harness import BINARY, FAR, HOOKED, TRACEDUMP, expect_equal, expect_same, main, program
from sink import SINK, Sink

# AddressSanitizer looks for leaks by tracing its own process, which a tracer inside or outside does not leave room for.
if "ASAN_OPTIONS" in os.environ:
    os.environ["ASAN_OPTIONS"] += ":detect_leaks=0"

NOBODY = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
CAPABLE = "cap_net_raw,cap_sys_ptrace,cap_net_admin+ep"


def set_uid_copy(lab, path):
    """Of a program, for everybody to become root by."""
    copy = lab.folder / ("set-uid-" + os.path.basename(path))
    shutil.copy(path, copy)
    copy.chmod(0o4755)
    return str(copy)


def same_as_untraced(lab, command, options=()):
    untraced = lab.start(command)
    expect_equal(untraced.wait(), 0, f"status of {command}, untraced: {untraced.stderr()}")
    traced = lab.launch(command, options)
    expect_equal(traced.stdout(), untraced.stdout(), f"what {command} printed")
    return untraced.stdout()


def set_uid(lab):
    """A set-uid program gets its rights, and is captured with them."""
    for options in ((), ("--no-seccomp",)):
        said = same_as_untraced(lab, [*NOBODY, set_uid_copy(lab, shutil.which("id"))], options)
        assert "uid=65534(nobody)" in said and "euid=0(root)" in said, said
    sink = Sink(lab)
    truth = lab.truth()
    traced = lab.launch([*NOBODY, set_uid_copy(lab, program("thread_exec")), FAR, SINK, "0"])
    expect_same(truth.packets(), traced.packets())
    del sink


def set_uid_with_fewer_rights(lab):
    """tracedump as somebody else, with file capabilities: under a seccomp filter the kernel takes no_new_privs for it,
    and set-uid programs stay who they are; without the filter they become what they would untraced."""
    copy, mine = capable_copy(lab, CAPABLE)
    identity = set_uid_copy(lab, shutil.which("id"))
    more_capable = lab.folder / "tracedump-admin"
    shutil.copy(BINARY, more_capable)
    more_capable.chmod(0o755)
    subprocess.run(["setcap", CAPABLE.replace("+ep", ",cap_sys_admin+ep"), more_capable], check=True)
    for binary, options, expected in ((copy, (), False), (copy, ("--no-seccomp",), True), (more_capable, (), True)):
        traced = lab.start([*NOBODY, binary, *options, "-w", mine / f"{binary.name}{len(options)}.pcap", "--", identity])
        expect_equal(traced.wait(), 0, "status: " + traced.stderr())
        expect_equal("euid=0(root)" in traced.stdout(), expected, f"root with {binary.name} {options}")


def capable_copy(lab, capabilities):
    """Of tracedump, for everybody; and a folder for its files."""
    copy = lab.folder / "tracedump"
    shutil.copy(BINARY, copy)
    copy.chmod(0o755)
    subprocess.run(["setcap", capabilities, copy], check=True)
    mine = lab.folder / "mine"
    mine.mkdir()
    mine.chmod(0o777)
    return copy, mine


def undumpable(lab):
    """A process that forbids looking at it (PR_SET_DUMPABLE, as ssh-agent does), traced by its own user without
    CAP_SYS_PTRACE: what it opened before is captured, the rest is named once, and nothing is different for it. With
    that capability all is captured."""
    script = (f"import ctypes, socket; to = ('{FAR}', {SINK})\n"
              "before = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
              "before.bind(('', 31000)); before.sendto(b'before', to)\n"
              "assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0\n"  # PR_SET_DUMPABLE
              "for i in range(3): before.sendto(b'later', to)\n"
              "for i in range(3):\n"
              "    after = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); after.sendto(b'after', to)\n"
              "    after.close(); after = socket.create_connection(to); after.close()\n"
              "print('undisturbed')\n")
    sink = Sink(lab)
    for capabilities in ("cap_net_raw+ep", CAPABLE):
        copy, mine = capable_copy(lab, capabilities)
        for options in ((), ("--no-seccomp",)):
            truth = lab.truth()
            traced = lab.start([*NOBODY, copy, *options, "-w", mine / "capture.pcap", "--", "python3", "-c", script])
            expect_equal((traced.wait(), traced.stdout()), (0, "undisturbed\n"), "status: " + traced.stderr())
            packets = truth.packets()
            if capabilities != CAPABLE:
                expect_equal(traced.stderr().count("the kernel forbids it"), 1, "warnings: " + traced.stderr())
                packets = [p for p in packets if 31000 in p.ports()]
                expect_equal(len(packets), 4, "packets of the socket that was open before")
            expect_same(packets, pcap.transport(pcap.read(mine / "capture.pcap")))
        shutil.rmtree(mine)
    del sink


def user_namespace(lab):
    """A command that becomes root of a user namespace, and of a network namespace there, under a tracedump of its own
    user: what it does in the first network is captured, the other is named in a warning."""
    copy, mine = capable_copy(lab, CAPABLE)
    talk = mine / "talk.py"
    talk.write_text("import socket, sys\n"
                    f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', (sys.argv[1], {SINK}))\n")
    script = (f"python3 {talk} {FAR}; unshare -Ur python3 {talk} {FAR}; "
              f"unshare -Urn sh -c 'ip link set lo up; python3 {talk} 127.0.0.1; id -u'")
    sink = Sink(lab)
    for options in ((), ("--no-seccomp",)):
        truth = lab.truth()
        file = mine / f"{len(options)}.pcap"
        traced = lab.start([*NOBODY, copy, *options, "-w", file, "--", "sh", "-c", script])
        expect_equal((traced.wait(), traced.stdout()), (0, "0\n"), "status: " + traced.stderr())
        packets = truth.packets()
        expect_equal(len(packets), 2, "datagrams")
        expect_same(packets, pcap.transport(pcap.read(file)))
        expect_equal(traced.stderr().count("which are not captured"), 1, "warnings: " + traced.stderr())
    del sink


def switching_users(lab):
    for command in (["su", "-s", "/bin/sh", "nobody", "-c", "id; echo $0"],
                    ["sudo", "-n", "-u", "nobody", "id"],
                    [*NOBODY, "id"]):
        said = same_as_untraced(lab, command)
        assert "uid=65534(nobody)" in said, said


def traffic_of_another_user(lab):
    lab.web_server(lab.far)
    truth = lab.truth()
    traced = lab.launch(["sudo", "-n", "-u", "nobody", "curl", "-sS", f"http://{FAR}:8080/hello"])
    expect_equal(traced.stdout(), "hello\n", "the answer")
    expect_same(truth.packets(), traced.packets())


def as_user(lab):
    """-u: user, groups and environment are the user's; the capture stays with tracedump's own."""
    script = "id; echo $HOME $USER $LOGNAME; cat /proc/self/status | grep -E '^(Cap|NoNewPrivs)'"
    traced = lab.launch(["sh", "-c", script], ["-u", "nobody"])
    login = lab.start(["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--init-groups", "env", "HOME=/nonexistent",
                       "USER=nobody", "LOGNAME=nobody", "sh", "-c", script])
    login.wait()
    expect_equal(traced.stdout(), login.stdout(), "what it is")
    expect_equal(traced.file.stat().st_uid, 0, "the owner of the capture")


def tracers_inside(lab):
    """A process has one tracer: debuggers are refused, say so, and end."""
    strace = lab.launch(["strace", "-o", "/dev/null", "true"], status=1)
    assert "Operation not permitted" in strace.stderr(), strace.stderr()
    gdb = lab.tracedump(["--", "gdb", "-batch", "-nx", "-ex", "run", "--args", "true"])
    gdb.wait()
    assert "Operation not permitted" in gdb.stderr() + gdb.stdout(), gdb.stderr() + gdb.stdout()
    inner = lab.launch([*TRACEDUMP, "-w", lab.folder / "inner.pcap", "--", "echo", "never"], status=1)
    expect_equal(inner.stdout(), "", "what the inner command printed")
    assert "cannot trace the command" in inner.stderr(), inner.stderr()


def inside_a_tracer(lab):
    """tracedump under strace -f: one line, and status 1."""
    traced = lab.tracedump(["--", "true"], prefix=["strace", "-f", "-qq", "-o", "/dev/null"])
    expect_equal((traced.wait(), traced.stderr().count("\n")), (1, 1), f"status and lines: {traced.stderr()}")
    assert "traced ourselves" in traced.stderr(), traced.stderr()


def strict_seccomp(lab):
    """The kernel refuses strict mode to a process that has a filter: a warning tells. Without a filter it works."""
    script = ("import ctypes\n"
              "result = ctypes.CDLL(None, use_errno=True).prctl(22, 1, 0, 0, 0)\n"  # PR_SET_SECCOMP, SECCOMP_MODE_STRICT
              "print('refused:', ctypes.get_errno(), flush=True)\n")
    if not HOOKED:
        traced = lab.launch(["python3", "-c", script])
        expect_equal(traced.stdout(), "refused: 22\n", "what it said")
        assert "strict seccomp" in traced.stderr(), traced.stderr()
    untraced = lab.start(["python3", "-c", script])
    untraced.wait()
    traced = lab.tracedump(["--", "python3", "-c", script], options=[] if HOOKED else ["--no-seccomp"])
    expect_equal((traced.wait(), traced.stdout()), (untraced.popen.returncode, untraced.stdout()), "end and words")


main(set_uid, set_uid_with_fewer_rights, undumpable, user_namespace, switching_users, traffic_of_another_user, as_user, tracers_inside,
     inside_a_tracer, strict_seccomp)
