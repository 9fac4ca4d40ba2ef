"""Attaching and detaching, at any moment and again and again, is not noticed."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import threading

from harness import FAR, NEAR, TRACEDUMP, expect_equal, expect_same, main, program, socket_in, wait_for
from scripted import Scripted
from sink import SINK, Sink
from talker import Talker
from ways import same_as_untraced


def blocking_calls_go_on(lab):
    """A process in each of 32 blocking calls: neither the attach nor the detach, nor a SIGKILL to tracedump, ends one."""
    target = Talker(lab, "blocked_calls")
    pids = list(map(int, target.first_line[1:]))
    for killed in (False, False, True):
        traced = lab.attach(*pids)
        target.order("attached")
        if killed:
            traced.signal(signal.SIGKILL)
            traced.wait()
        else:
            traced.end()
        target.order("detached")
    said = target.stdout().splitlines()[1:]
    expect_equal(said, ["32 of 32 wait"] * 6, "what it says")
    expect_equal([tracer_of(pid) for pid in pids], [0] * 32, "tracers")
    target.hang_up()
    expect_equal(target.wait(), 0, "status")


def attached_in_the_middle_of_a_connect(lab):
    """A process is blocked in connect when tracedump comes: of its packets the later ones are there, and the rest of
    the connection. The next sockets have their first."""
    late = "10.77.0.3"
    lab.start([program("echo_server"), "7000"], namespace=lab.far)
    lab.await_port(7000, namespace=lab.far)
    subprocess.run(["ip", "-n", lab.far, "address", "add", late + "/24", "dev", "veth0"], check=True)
    subprocess.run(["ip", "-n", lab.far, "rule", "add", "from", late, "blackhole"], check=True)
    target = Scripted(lab.start, f"""
import threading
def exchange():
    s = socket.socket()
    s.connect(("{late}", 7000))
    s.sendall(b"hello")
    s.recv(100)
    s.close()
thread = threading.Thread(target=exchange)
thread.start()
step()
thread.join()
exchange()
""")
    wait_for("the SYN", lambda: lab.run(["ss", "-Htn", "state", "syn-sent"]).strip())
    traced = lab.attach(target.process)
    truth = lab.truth()
    subprocess.run(["ip", "-n", lab.far, "rule", "delete", "from", late, "blackhole"], check=True)
    target.go_on(to_the_end=True)
    expect_equal((target.process.wait(), traced.wait()), (0, 0), f"statuses: {target.process.stderr()}")
    packets = truth.packets()
    assert len([p for p in packets if p.flags == "S"]) >= 2, "no SYN after the attach: the test shows nothing"
    # What came between the attach and the truth's begin is in the capture too.
    expect_same(packets, traced.packets()[-len(packets):])


def tracer_of(pid):
    return int(re.search(r"TracerPid:\s*(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))


def threads_that_come_and_go(lab):
    """Three hundred chains of threads that live for two milliseconds: the attach catches all of them, every time."""
    orders, hold = os.pipe()
    target = lab.start([program("thread_chains"), FAR, SINK, "300", "2000"], stdin=orders)
    os.close(orders)
    wait_for("the chains", lambda: "ready" in target.stdout())
    sink = Sink(lab)
    for _ in range(10):
        traced = lab.attach(target)
        tasks = f"/proc/{target.pid}/task"
        untraced = [tid for tid in os.listdir(tasks) if tracer_of_task(tasks, tid) == 0]
        expect_equal(untraced, [], "threads without a tracer")
        traced.end()
    truth = lab.truth()
    traced = lab.attach(target)
    os.close(hold)
    expect_equal(target.wait(), 0, "status")
    expect_equal(traced.wait(), 0, "status of tracedump")
    packets = truth.packets()
    expect_equal(len(packets), 300, "datagrams")
    expect_same(packets, traced.packets())
    del sink


def tracer_of_task(tasks, tid):
    try:
        return int(re.search(r"TracerPid:\s*(\d+)", pathlib.Path(f"{tasks}/{tid}/status").read_text()).group(1))
    except OSError:
        return None  # gone in between


def processes_that_are_ending(lab):
    """Attached to in the middle of their end: traced to it, or one line that says so; never a hang."""
    for delay in range(30):
        target = lab.start(["sh", "-c", f"read x; exec sleep 0.0{delay % 3}{delay % 10}"], stdin=(hold := os.pipe())[0])
        traced = lab.tracedump([str(target.pid)])
        os.close(hold[1])
        os.close(hold[0])
        target.wait()
        if traced.wait() != 0:
            assert "no such process" in traced.stderr() or "has ended" in traced.stderr(), traced.stderr()
            expect_equal(traced.stderr().count("\n"), 1, "lines")


def leader_that_is_a_zombie(lab):
    """The main thread has ended, another lives on, with a socket from before."""
    orders, hold = os.pipe()
    target = lab.start([program("zombie_leader"), FAR, SINK], stdin=orders)
    os.close(orders)
    wait_for("its zombie", lambda: "ready" in target.stdout() and target.status("State").startswith("Z"))
    sink = Sink(lab)
    truth = lab.truth()
    traced = lab.attach(target)
    os.write(hold, b"\n")
    wait_for("its datagrams", lambda: "sent" in target.stdout())
    os.close(hold)
    expect_equal((target.wait(), traced.wait()), (0, 0), "statuses")
    packets = truth.packets()
    expect_equal(len(packets), 2, "datagrams")
    expect_same(packets, traced.packets())
    del sink


def signals_with_values(lab):
    """A hundred thousand queued signals arrive once each and in order, while tracedump comes and goes."""
    orders, hold = os.pipe()
    target = lab.start([program("queued_signals"), "100000"], stdin=orders)
    os.close(orders)
    child = int(wait_for("the child", target.stdout).split()[1])
    os.write(hold, b"\n")
    cycles = 0
    while target.running() and cycles < 20:
        traced = lab.tracedump([str(child)])
        wait_for("its begin", lambda: "listening on any" in traced.stderr() or not traced.running())
        traced.signal(signal.SIGINT)
        traced.wait()
        cycles += 1
    expect_equal(target.wait(), 0, "status")
    assert "100000 arrived, 0 wrong" in target.stdout(), target.stdout()
    assert cycles > 2, "the signals were too fast for the test"


def two_hundred_cycles(lab):
    """Under load, redis-server loses no request and no connection."""
    cycles = int(os.environ.get("TRACEDUMP_CYCLES", "40"))
    server = lab.start(["redis-server", "--port", "6379", "--bind", NEAR, "--save", "", "--appendonly", "no",
                        "--protected-mode", "no"])
    lab.await_port(6379)
    load = lab.start(["redis-benchmark", "-h", NEAR, "-t", "get,set", "-c", "50", "-n", "100000000", "-q"],
                     namespace=lab.far)
    wait_for("the load", lambda: connected(lab) >= 50)
    accepted = received(lab)
    for _ in range(cycles):
        traced = lab.attach(server)
        traced.end()
        assert load.running(), f"redis-benchmark ended: {load.stdout()}{load.stderr()}"
    now = received(lab)
    load.stop()
    # The connections are those of the beginning, but for the questions asked here: one each.
    expect_equal(now - accepted, 1, "connections since the first attach")
    assert "rror" not in load.stdout() + load.stderr(), load.stdout() + load.stderr()
    expect_equal(lab.run(["redis-cli", "-h", NEAR, "ping"], namespace=lab.far), "PONG\n", "its answer")
    expect_equal(server.status("TracerPid"), "0", "TracerPid")


def info(lab, field):
    text = lab.run(["redis-cli", "-h", NEAR, "info"], namespace=lab.far)
    return int(re.search(field + r":(\d+)", text).group(1))


def connected(lab):
    return info(lab, "connected_clients")


def received(lab):
    return info(lab, "total_connections_received")


def close_ends_the_connection(lab):
    """No descriptor is held open: the peer sees the end at the close, and the port is free at once."""
    listener = socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((FAR, 7000))
    listener.listen(5)
    script = (f"s = socket.create_connection(('{FAR}', 7000)); step(); s.close(); step()\n"
              "for i in range(1000):\n"
              "    one, two = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
              "    one.bind(('', 7100)); one.listen(); one.close()\n"
              "    two.bind(('', 7100)); two.connect(('127.0.0.1', 9)); two.close()\n"
              "print('bound')\n")
    target = Scripted(lambda command, **more: lab.tracedump(["--", *command], **more), script)
    connection = listener.accept()[0]
    connection.settimeout(30)
    target.go_on()
    expect_equal(connection.recv(1), b"", "what the peer reads while the program waits")
    connection.close()
    target.go_on(to_the_end=True)
    expect_equal(target.process.wait(), 0, f"status: {target.process.stderr()}")
    assert target.process.stdout().endswith("bound\n"), target.process.stdout()


def reader_of_our_output(lab):
    """The target reads the capture of itself from a pipe: tracedump never waits for it in the thread that traces it."""
    pipe = lab.folder / "capture.fifo"
    os.mkfifo(pipe)
    script = (f"f = open('{pipe}', 'rb'); step(); total = 0\n"
              "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
              "for i in range(300):\n"
              f"    for j in range(10): s.sendto(bytes(1400), ('{FAR}', 9))\n"
              "    data = os.read(f.fileno(), 100000); total += len(data)\n"
              "print(total > 100000, flush=True); step()\n")
    starting = threading.Thread(target=lambda: None)
    target = None

    def start():
        nonlocal target
        target = Scripted(lab.start, script)

    starting = threading.Thread(target=start)
    starting.start()
    writer = os.open(pipe, os.O_WRONLY)  # waits for the reader
    starting.join()
    traced = lab.start([*TRACEDUMP, "-w", "-", str(target.process.pid)], stdout=writer, name="tracedump")
    os.close(writer)
    wait_for("tracedump to listen", lambda: "listening on any" in traced.stderr())
    target.go_on()
    assert "True" in target.process.stdout(), target.process.stdout()
    traced.signal(signal.SIGINT)
    expect_equal(traced.wait(), 0, "status")
    target.go_on(to_the_end=True)
    expect_equal(target.process.wait(), 0, "status of the target")


def interrupted_connects(lab):
    """A connect that signals interrupt: EINTR where the handler says so, restarted where not, and in the file."""
    subprocess.run(["ip", "netns", "exec", lab.far, "ip", "link", "set", "veth0", "arp", "off"], check=True)
    subprocess.run(["ip", "-n", lab.near, "neighbor", "add", "10.77.0.99", "lladdr", "02:00:00:00:00:99", "dev", "veth0"],
                   check=True)
    script = ("import signal, socket, time\n"
              "for restart in (False, True):\n"
              "    seen = []\n"
              "    signal.signal(signal.SIGALRM, lambda *_: seen.append(1))\n"
              "    signal.siginterrupt(signal.SIGALRM, not restart)\n"
              "    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)\n"
              "    s = socket.socket(); s.setsockopt(socket.IPPROTO_TCP, 18, 600)\n"  # TCP_USER_TIMEOUT
              "    try: s.connect(('10.77.0.99', 80))\n"
              "    except OSError as e: print(e.errno, flush=True)\n"
              "    signal.setitimer(signal.ITIMER_REAL, 0)\n"
              "    assert seen\n")
    same_as_untraced(lab, ["python3", "-c", script], talks=True)


main(blocking_calls_go_on, attached_in_the_middle_of_a_connect, threads_that_come_and_go, processes_that_are_ending, leader_that_is_a_zombie,
     signals_with_values, two_hundred_cycles, close_ends_the_connection, reader_of_our_output, interrupted_connects)
