"""How a capture ends: signals, what is passed on, the tail of connections, and what the command never notices."""

import os
import pty
import signal

from harness import FAR, HOOKED, TRACEDUMP, expect_equal, expect_same, main, program, wait_for

def python(*lines):
    return ["python3", "-c", "\n".join(["import os, signal, sys, time", *lines])]


def ready(lab):
    return (lab.folder / "ready").exists()


READY = "open('ready', 'w').close()"


def tail_of_connections(lab):
    """The last FIN and ACK of a closing connection are there, a hundred times out of a hundred."""
    lab.web_server(lab.far)
    truth = lab.truth()
    packets = []
    for i in range(100):
        traced = lab.tracedump(["--", "curl", "-sS", "-o", "/dev/null", f"http://{FAR}:8080/hello"], file=f"{i}.pcap")
        expect_equal(traced.wait(), 0, "status")
        packets += traced.packets()
    expect_same(truth.packets(), packets)


def the_ring_is_closed_without_io_uring(lab):
    """Which takes the kernel's time to do so off ours, where there is one."""
    traced = lab.tracedump(["--", "true"], prefix=[program("without_syscall"), "425"])
    expect_equal((traced.wait(), traced.stderr().splitlines()[1:2]), (0, ["0 packets captured"]), "status and words")


def counters_on_usr1(lab):
    traced = lab.tracedump(["--", "sleep", "60"])
    traced.await_begin()
    traced.signal(signal.SIGUSR1)
    wait_for("the counters", lambda: "0 packets dropped by kernel, 0 sockets open\n" in traced.stderr())
    assert traced.running()


def passed_on(number):
    def test(lab):
        traced = lab.tracedump(["--", *python("def end(*_): print('told'); sys.exit(5)",
                                              f"signal.signal({int(number)}, end)", READY, "time.sleep(60)")])
        wait_for("the command", lambda: ready(lab))
        traced.signal(number)
        expect_equal((traced.wait(), traced.stdout()), (5, "told\n"), "status and output")
    return test


def sigterm_is_passed_on(lab):
    passed_on(signal.SIGTERM)(lab)


def sighup_is_passed_on(lab):
    passed_on(signal.SIGHUP)(lab)


def timeout_ends_it(lab):
    process = lab.start(["timeout", "1", *TRACEDUMP, "-w", lab.folder / "x.pcap", "sleep", "60"])
    expect_equal(process.wait(), 124, "status of timeout")


def control_c(lab):
    """From a terminal, where the command gets it too: its handler decides the status."""
    terminal, inside = pty.openpty()
    command = python("def end(*_): sys.exit(7)", "signal.signal(signal.SIGINT, end)", READY, "time.sleep(60)")
    traced = lab.tracedump(["--", *command], stdin=inside, start_new_session=True,
                           prefix=["setsid", "--ctty", "--wait"])
    wait_for("the command", lambda: ready(lab))
    os.write(terminal, b"\x03")
    expect_equal(traced.wait(), 7, "status")
    assert "packets captured" in traced.stderr()


def second_signal_kills(lab):
    traced = lab.tracedump(["--", *python("signal.signal(signal.SIGTERM, lambda *_: open('deaf', 'w').close())",
                                          READY, "while True: time.sleep(60)")])
    wait_for("the command", lambda: ready(lab))
    traced.signal(signal.SIGTERM)
    wait_for("the first signal to be ignored", (lab.folder / "deaf").exists)
    # The same signal soon after is taken for the same request; another one is not.
    traced.signal(signal.SIGINT)
    expect_equal(traced.wait(), -signal.SIGKILL, "status")


def left_running(lab):
    """--no-seccomp: the capture ends, the command does not."""
    traced = lab.tracedump(["--", *python("open('pid', 'w').write(str(os.getpid()))", READY, "time.sleep(60)")],
                           options=["--no-seccomp"])
    wait_for("the command", lambda: ready(lab))
    pid = int((lab.folder / "pid").read_text())
    traced.signal(signal.SIGTERM)
    expect_equal(traced.wait(), 0, "status")
    status = status_of(pid)
    os.kill(pid, signal.SIGKILL)
    expect_equal((status["TracerPid"], status["Seccomp"], status["State"][0]), ("0", "0", "S"), "the command's state")


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def killed_with_us(lab):
    """SIGKILL to tracedump: a command under a system-call filter, which cannot live without it, is gone too; one without
    goes on. The file is valid."""
    traced = lab.tracedump(["--", *python("open('pid', 'w').write(str(os.getpid()))", READY, "time.sleep(60)")])
    wait_for("the command", lambda: ready(lab))
    pid = int((lab.folder / "pid").read_text())
    traced.signal(signal.SIGKILL)
    traced.wait()
    if HOOKED:
        wait_for("the command to be free", lambda: status_of(pid)["TracerPid"] == "0")
        expect_equal(status_of(pid)["State"][0], "S", "the command's state")
        os.kill(pid, signal.SIGKILL)
    wait_for("the command's end", lambda: not os.path.exists(f"/proc/{pid}") or zombie(pid))
    expect_equal(traced.packets(), [], "packets")


def nothing_left_half_traced(lab):
    """SIGKILL to tracedump in the middle of a tree that connects all the time: all of it is gone, or all of it goes on if
    it has no filter; and no call of it has failed for want of a tracer."""
    server = lab.start([program("echo_server"), "7000"], namespace=lab.far)
    lab.await_port(7000, namespace=lab.far)
    connect = (f"import errno, os, socket, sys\n"
               "for i in range(3): os.fork()\n"
               "if os.fork(): os.setsid()\n"
               "print('connects', flush=True)\n"
               "while True:\n"
               "    try:\n"
               f"        with socket.socket() as s: s.connect(('{FAR}', 7000))\n"
               "    except OSError as e:\n"
               "        if e.errno == errno.ENOSYS: print('no such call', flush=True)\n")
    for i in range(10):
        traced = lab.tracedump(["--", "python3", "-c", connect], file=f"{i}.pcap")
        wait_for("the tree", lambda: traced.stdout().count("connects") == 16)
        wait_for("packets in the file", lambda: traced.file.stat().st_size > 10000)
        traced.signal(signal.SIGKILL)
        traced.wait()
        tree = lambda: processes_in(lab.near) - {server.pid, os.getpid()}
        if HOOKED:
            wait_for("the tree to be free", lambda: all(status_of(pid)["TracerPid"] == "0" for pid in tree()))
            expect_equal(len(tree()), 16, "processes that go on")
            for pid in tree():
                os.kill(pid, signal.SIGKILL)
        wait_for("the tree's end", lambda: not tree())
        assert "no such call" not in traced.stdout(), "a call failed for want of a tracer"
        # The kill may have cut a write short, and the last packet with it: all others can be read.
        reader = lab.start(["tcpdump", "-nr", traced.file])
        if reader.wait() != 0:
            assert "truncated dump file" in reader.stderr(), reader.stderr()
        assert reader.stdout().count("7000:"), "the capture is empty"


def processes_in(namespace):
    """Those that live in that network namespace."""
    there = os.stat(f"/run/netns/{namespace}").st_ino
    found = set()
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}/ns/net").st_ino == there and not zombie(name):
                found.add(int(name))
        except OSError:
            pass  # gone in between, or a zombie, which has no namespaces
    return found


def zombie(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "Z"


def inherits_the_same(lab):
    """What the command inherits is what it would inherit untraced."""
    # A signal that is blocked and pending, a CPU, a score, as well.
    script = ("trap '' USR1 INT; ulimit -n 500; umask 027; exec 7</dev/null; echo 77 >/proc/self/oom_score_adj; "
              "exec taskset -c 1 nice -n 3 python3 -c 'import os, signal, sys\n"
              "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCONT, signal.SIGUSR2, signal.SIGCHLD])\n"
              "os.execvp(sys.argv[1], sys.argv[1:])' \"$@\"")
    command = [program("inherited"), "a b", ""]
    plain = lab.start(["bash", "-c", script, "bash", *command])
    expect_equal(plain.wait(), 0, "status")
    traced = lab.start(["bash", "-c", script, "bash", *TRACEDUMP, "-w", lab.folder / "x.pcap", "--", *command])
    expect_equal(traced.wait(), 0, "status")
    expect_equal(traced.stdout(), plain.stdout(), "what the command inherited")
    assert "pending" not in plain.stdout() and "score 77" in plain.stdout(), plain.stdout()


def reader_goes_away(lab):
    """-w - into a pipe whose reader leaves: the command goes on to its end."""
    lab.web_server(lab.far)
    script = (f"{' '.join(TRACEDUMP)} -w - -- sh -c 'for i in 1 2 3 4 5; do curl -sS -o /dev/null http://{FAR}:8080/hello; done; "
              "touch finished; exit 4' | head -c 30 >/dev/null; echo ${PIPESTATUS[0]}")
    process = lab.start(["bash", "-c", script])
    process.wait()
    expect_equal(process.stdout(), "4\n", "status of tracedump")
    assert (lab.folder / "finished").exists(), process.stderr()


main(tail_of_connections, the_ring_is_closed_without_io_uring, counters_on_usr1, sigterm_is_passed_on,
     sighup_is_passed_on, timeout_ends_it, control_c,
     second_signal_kills, left_running, killed_with_us, nothing_left_half_traced, inherits_the_same, reader_goes_away)
