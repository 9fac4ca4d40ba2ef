"""Trees of processes: storms of them, unusual ways to make them, and ends at any moment."""

import os
import pathlib
import random
import signal
import threading
import time

from harness import FAR, FAR6, HOOKED, expect_equal, expect_same, main, program, wait_for
from sink import SINK, Sink
from ways import LAUNCHED, UNFILTERED, WAYS, Traced, same_as_untraced


def status_number(process, field):
    return int(process.status(field).split()[0])


def descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def children(pid):
    return [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


def tree(pid):
    found = [pid]
    for parent in found:
        try:
            found += children(parent)
        except OSError:
            pass  # gone in between
    return found


def is_zombie(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def zombies_of(process):
    states = []
    for child in children(process.pid):
        try:
            states.append(pathlib.Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0])
        except OSError:
            pass
    return states.count("Z")


def two_thousand_processes(lab):
    """A bounded fork bomb: each of its processes talks. Nothing is left behind, in the process table or open."""
    sink = Sink(lab)
    truth = lab.truth()
    traced = lab.tracedump(["--", "sh", "-c", f"{program('many_processes')} {FAR} {SINK} 2000; echo $?; read x"],
                           stdin=(hold := os.pipe())[0])
    traced.await_begin()
    before = descriptors(traced)
    wait_for("the processes to end", lambda: traced.stdout() == "0\n")
    wait_for("tracedump to have reaped all", lambda: zombies_of(traced) == 0)
    wait_for("it to have closed all", lambda: descriptors(traced) <= before + 4)
    os.write(hold[1], b"\n")
    expect_equal(traced.wait(), 0, "status")
    expect_same(truth.packets(), traced.packets())
    assert "2002 processes" in traced.stderr() or "2001 processes" in traced.stderr(), traced.stderr()
    del sink


def vfork_and_spawn(lab):
    sink = Sink(lab)
    same_as_untraced(lab, [program("spawn_storm"), FAR, SINK, "300"], talks=True)
    del sink


def exec_by_another_thread(lab):
    sink = Sink(lab)
    for way in WAYS:
        truth = lab.truth()
        traced = Traced(lab, way, [program("thread_exec"), FAR, SINK, "20"])
        captured = traced.end()
        expect_equal(traced.stdout(), "done\n", "what it printed")
        expect_same(truth.packets(), captured)
        assert "1 process," in traced.tracedump.stderr(), traced.tracedump.stderr()
    del sink


def untraced_children(lab):
    """CLONE_UNTRACED: a tracer that honoured it would leave the child without the system calls that are traced. Where
    none are, it has to be honoured: the child is out of sight, and unharmed."""
    sink = Sink(lab)
    same_as_untraced(lab, [program("untraced_child"), FAR, SINK], talks=not HOOKED)
    del sink


def parents_that_are_gone(lab):
    """A hundred times: the parent ends before its child has run."""
    sink = Sink(lab)
    script = ("import os, socket, sys\n"
              "for i in range(100):\n"
              "    if (child := os.fork()) == 0:\n"
              "        if os.fork(): os._exit(0)\n"
              "        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'orphan', ('" + FAR + "', " + SINK + "))\n"
              "        os._exit(0)\n"
              "    os.waitpid(child, 0)\n")
    for way in WAYS:
        truth = lab.truth()
        captured = Traced(lab, way, ["python3", "-c", script]).end()
        expect_equal(len(captured), 100, "datagrams")
        expect_same(truth.packets(), captured)
    del sink


def children_of_its_own(lab):
    """Order, statuses and stops of children, a silent clone, a daemon's two forks: as untraced."""
    said = same_as_untraced(lab, [program("own_family"), "1000"])
    expect_equal(said, "0 wrong statuses\nnot seen, reaped\nstopped\nexited with 6\nfirst 3\nsecond 4\nthen none\n",
                 "what it printed")


def threads_that_come_and_go(lab):
    """Two hundred chains of threads that live for two milliseconds each, for a while; the last of each talks."""
    sink = Sink(lab)
    for way in (LAUNCHED, UNFILTERED):
        truth = lab.truth()
        orders, hold = os.pipe()
        traced = Traced(lab, way, [program("thread_chains"), FAR, SINK, "200", "2000"], stdin=orders)
        os.close(orders)
        wait_for("the chains", lambda: "ready" in traced.stdout())
        # Of the whole host: there is not much else.
        started = lambda: int(pathlib.Path("/proc/stat").read_text().split("\nprocesses ")[1].split()[0])
        before = started()
        wait_for("a thousand threads", lambda: started() - before > 1000)
        os.close(hold)
        captured = traced.end()
        expect_equal(len(captured), 200, "datagrams")
        expect_same(truth.packets(), captured)
    del sink


def daemon_outlives_its_command(lab):
    """The command ends, the daemon that it made by two forks talks later: its packets are there, the status is the
    command's; or a signal ends it, and nothing is left."""
    sink = Sink(lab)
    script = ("import os, socket, sys\n"
              "if os.fork(): os._exit(3)\n"
              "os.setsid()\n"
              "if os.fork(): os._exit(0)\n"
              "print('daemon', os.getpid(), flush=True)\n"
              "open('go').read()\n"
              f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'late', ('{FAR}', {SINK}))\n")
    go = lab.folder / "go"
    os.mkfifo(go)
    for way in (LAUNCHED, UNFILTERED):
        truth = lab.truth()
        traced = Traced(lab, way, ["python3", "-c", script])
        wait_for("the command to end", lambda: "the command has ended" in traced.stderr())
        go.write_text("")
        captured = traced.end(3)
        expect_equal(len(captured), 1, "datagrams")
        expect_same(truth.packets(), captured)
    traced = Traced(lab, LAUNCHED, ["python3", "-c", script])
    wait_for("the command to end", lambda: "the command has ended" in traced.stderr())
    daemon = int(wait_for("the daemon", traced.stdout).split()[1])
    traced.signal(signal.SIGTERM)
    traced.end(3)
    assert not pathlib.Path(f"/proc/{daemon}").exists() or is_zombie(daemon), "the daemon lives"
    del sink


def children_that_are_not_ours(lab):
    """tracedump may have children that it did not make: `(sleep 60 & exec tracedump ...)`. It does not wait for them."""
    process = lab.tracedump(["--", "true"], prefix=["sh", "-c", 'sleep 60 & exec "$@"', "sh"])
    process.wait(20)
    expect_equal(process.popen.returncode, 0, "status")


def killed_at_random(lab):
    """Processes of the tree die by SIGKILL, wherever they are; the rest goes on, and tracedump ends with the command."""
    server = lab.start([program("echo_server"), "7200"], namespace=lab.far)
    lab.await_port(7200, namespace=lab.far)
    storm = [program("storm"), FAR, FAR6, "7200", "2", "3", "50"]
    keeper = ("import os, select, subprocess, sys\n"
              "alive = []\n"
              "while not select.select([sys.stdin], [], [], 0.01)[0]:\n"
              "    alive = [p for p in alive if p.poll() is None]\n"
              f"    while len(alive) < 6: alive.append(subprocess.Popen({storm}, stderr=subprocess.DEVNULL))\n"
              "for p in alive: p.wait()\n"
              "sys.exit(9)\n")
    traced = lab.tracedump(["--", "python3", "-c", keeper], stdin=(hold := os.pipe())[0])
    traced.await_begin()
    chosen = random.Random(1)
    command = wait_for("the command", lambda: children(traced.pid))[0]
    killed = 0
    end = time.monotonic() + 6
    while time.monotonic() < end:
        victims = [pid for pid in tree(command) if pid != command]
        if victims:
            try:
                os.kill(chosen.choice(victims), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass
        time.sleep(0.005)
    os.write(hold[1], b"\n")
    # Those whose parent was killed end by themselves.
    expect_equal(traced.wait(), 9, "status")
    assert killed > 50, f"only {killed} killed"
    assert server.running(), "the server has ended"


def connections_without_end(lab):
    """One after the other, TRACEDUMP_CONNECTIONS of them: memory and descriptors of tracedump stay where they are."""
    count = int(os.environ.get("TRACEDUMP_CONNECTIONS", "20000"))
    sink = Sink(lab)
    closer = threading.Thread(target=lambda: drain(sink.listener), daemon=True)
    closer.start()
    script = ("import socket, struct, sys\n"
              "for part in range(5):\n"
              f"    for i in range({count // 5}):\n"
              "        s = socket.socket()\n"
              "        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n"
              f"        s.connect(('{FAR}', {SINK}))\n"
              "        s.close()\n"
              "    print(part, flush=True)\n"
              "    sys.stdin.readline()\n")
    traced = lab.tracedump(["--", "python3", "-c", script], stdin=(hold := os.pipe())[0])
    seen = []
    for part in range(5):
        wait_for("a part", lambda: f"{part}\n" in traced.stdout(), 300)
        seen.append((status_number(traced, "VmRSS"), descriptors(traced)))
        os.write(hold[1], b"\n")
    expect_equal(traced.wait(), 0, "status")
    print("      resident KiB, descriptors after each part:", seen)
    assert seen[-1][1] <= seen[0][1], f"descriptors grow: {seen}"
    if "ASAN_OPTIONS" not in os.environ:  # which keeps what was freed
        assert seen[-1][0] <= seen[0][0] + 64 * 1024, f"memory grows: {seen}"
    sink.listener.close()


def drain(listener):
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


main(two_thousand_processes, vfork_and_spawn, exec_by_another_thread, untraced_children, parents_that_are_gone,
     children_of_its_own, threads_that_come_and_go, daemon_outlives_its_command, children_that_are_not_ours,
     killed_at_random, connections_without_end)
