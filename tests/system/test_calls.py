"""Each system call by which a socket can get its port: the first packet is in the file, and nobody else's is."""

import os
import platform
import resource
import select
import socket
import subprocess
import threading

import pcap
from harness import FAR, FAR6, HERE, HOOKED, NEAR, TRACEDUMP, expect_equal, expect_same, main, program, socket_in, wait_for
from scripted import Scripted
from sink import SINK, Sink
from ways import ATTACHED, LAUNCHED, UNFILTERED, WAYS, Traced, same_as_untraced


def echo_server(lab):
    lab.start(["python3", "-B", HERE / "asyncio_echo.py", "serve", "7000"], namespace=lab.far)
    lab.await_port(7000, "tcp", lab.far)
    lab.await_port(7000, "udp", lab.far)


def traced_calls(lab, command, options=()):
    echo_server(lab)
    truth = lab.truth()
    traced = lab.launch(command, options)
    expect_same(truth.packets(), traced.packets())
    return traced


def udp(lab):
    traced_calls(lab, [program("udp_calls"), FAR, FAR6, "7000"])


def udp_without_seccomp(lab):
    traced_calls(lab, [program("udp_calls"), FAR, FAR6, "7000"], ["--no-seccomp"])


def tcp(lab):
    traced_calls(lab, [program("tcp_calls"), FAR, FAR6, "7000", "7001"])


def tcp_without_seccomp(lab):
    traced_calls(lab, [program("tcp_calls"), FAR, FAR6, "7000", "7001"], ["--no-seccomp"])


def thirty_two_bit(lab):
    """i386 programs: direct calls and socketcall(2); and int 0x80 from a 64-bit program."""
    if platform.machine() != "x86_64":
        return
    echo_server(lab)
    truth = lab.truth()
    script = "; ".join([f"{program('tcp_calls_32')} {FAR} {FAR6} 7000 7001", f"{program('udp_calls_32')} {FAR} {FAR6} 7000",
                        f"{program('ways_into_the_kernel_32')} {FAR} 7000", f"{program('ways_into_the_kernel')} {FAR} 7000"])
    traced = lab.launch(["sh", "-ec", script])
    expect_same(truth.packets(), traced.packets())


def tcp_attached(lab):
    echo_server(lab)
    same_as_untraced(lab, [program("tcp_calls"), FAR, FAR6, "7000", "7001"], ways=[ATTACHED], talks=True)


def udp_attached(lab):
    echo_server(lab)
    same_as_untraced(lab, [program("udp_calls"), FAR, FAR6, "7000"], ways=[ATTACHED], talks=True)


FIRST_CALLS = """
import os, socket, struct, sys
at_once = struct.pack("ii", 1, 0)
for i in range(int(sys.argv[2])):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    if s.fileno() != 3: os.dup2(s.fileno(), 3)
    os.set_inheritable(3, True)
    status = os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn(sys.argv[1], sys.argv[1:2], {}), 0)[1])
    if status != 0: print("errno", status)
    if s.fileno() != 3: s.close()
os.close(3)
"""


def first_call_of_a_program(lab):
    """A thousand times: the first system call after exec is connect."""
    lab.start([program("echo_server"), "7000"], namespace=lab.far)
    lab.await_port(7000, namespace=lab.far)
    command = ["python3", "-c", FIRST_CALLS, program("first_call"), "1000"]
    expect_equal(same_as_untraced(lab, command, talks=True), "", "what it printed")


def first_call_of_the_command(lab):
    """The same of the command itself, which has its filter for as long as it lives."""
    lab.start([program("echo_server"), "7000"], namespace=lab.far)
    lab.await_port(7000, namespace=lab.far)
    truth = lab.truth()
    inherit = ("import os, socket, sys; s = socket.socket(); os.set_inheritable(3, s.fileno() == 3); "
               "os.execvp(sys.argv[1], sys.argv[1:])")
    captured = []
    for i in range(60):
        traced = lab.tracedump(["--", program("first_call")], file=f"{i}.pcap",
                               prefix=["python3", "-c", inherit])
        expect_equal(traced.wait(), 0, "status: the errno of connect")
        captured += traced.packets()
    expect_same(truth.packets(), captured)


def address_that_is_not_there_yet(lab):
    """The page with a call's address is provided by another thread of the application: waiting for it, tracedump would
    wait for ever. Without hooks, of the connection whose remote it cannot know the handshake is missing."""
    sink = Sink(lab)
    for way in WAYS:
        truth = lab.truth()
        traced = Traced(lab, way, [program("faulting_address"), FAR, SINK])
        captured = traced.end()
        expect_equal(traced.stdout(), "sendto: 1\nconnect: 0\nwrite: 5\n", "what it did")
        missing, extra = pcap.difference(truth.packets(), captured)
        unknown = [] if HOOKED else ["S", "S.", "."]
        expect_equal(([p.flags for p in missing], extra), (unknown, []), f"missing and extra, {way}")
    del sink


def descriptors_of_one_thread(lab):
    """A thread with a table of descriptors of its own; attached to when it has a socket open in it already."""
    for way in (LAUNCHED, UNFILTERED, "attached later"):
        sink = Sink(lab)
        truth = lab.truth()
        orders, ours = os.pipe()
        command = [program("unshared_files"), FAR, SINK]
        if way == "attached later":
            process = lab.start(command, stdin=orders)
            wait_for("its socket", lambda: "ready" in process.stdout())
            traced = lab.attach(process, file=f"{way}.pcap")
        else:
            traced = process = lab.tracedump(["--", *command], options=["--no-seccomp"] if way == UNFILTERED else [],
                                             file=f"{way}.pcap", stdin=orders)
            wait_for("its socket", lambda: "ready" in process.stdout())
        os.write(ours, b"\n")
        expect_equal((process.wait(), traced.wait(), process.stdout()), (0, 0, "ready\nsent\n"), "statuses and words")
        expect_same(truth.packets(), traced.packets())
        sink.datagrams.close()
        sink.listener.close()


def sockets_without_ports(lab):
    """What raw and ping sockets show as their port is a protocol or an identifier: none is taken for it."""
    script = f"""
import socket
raw = [socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) for protocol in (1, 17, 253)]
for s in raw:
    s.bind(("{NEAR}", 0))
    s.connect(("{FAR}", 0))
    s.send(bytes(8))
ping = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)
ping.bind(("{NEAR}", 999))
ping.connect(("{FAR}", 0))
ping.send(b"\\x08" + bytes(7))
step()
"""
    subprocess.run(["ip", "netns", "exec", lab.near, "sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647"],
                   check=True)
    for options in ([], ["--no-seccomp"]):
        traced = Scripted(lambda command, **more: lab.tracedump(["--", *command], options=options, **more), script)
        for port in (1, 17, 253, 999):
            with socket_in(lab.near, socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind((NEAR, port))
                stranger.sendto(b"stranger", (FAR, 7000))
        traced.go_on(to_the_end=True)
        expect_equal(traced.process.wait(), 0, f"status: {traced.process.stderr()}")
        expect_equal(len(pcap.read(traced.process.file)), 0, "packets")
        assert "0 sockets, 0 ports" in traced.process.stderr(), traced.process.stderr()


def more_connections_than_ports(lab):
    """A port can have a connection to each of two remotes, as long as nobody binds it: tracedump does not."""
    subprocess.run(["ip", "netns", "exec", lab.near, "sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40999"],
                   check=True)
    sink = Sink(lab)
    other = socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM)
    other.bind((FAR, 7001))
    other.listen(1000)
    command = ["python3", "-c", f"""
import resource, socket, struct
resource.setrlimit(resource.RLIMIT_NOFILE, (4000, 4000))
sockets = []
for port in ({SINK}, 7001):
    for i in range(900):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.connect(("{FAR}", port))
        sockets.append(s)
print(len(sockets))
"""]
    for listener in (sink.listener, other):
        listener.setblocking(False)
    expect_equal(same_as_untraced_while_accepting(lab, command, (sink.listener, other)), "1800\n", "connections")


def same_as_untraced_while_accepting(lab, command, listeners):
    over = threading.Event()

    def accept():
        while not over.is_set():
            for listener in select.select(listeners, [], [], 0.01)[0]:
                listener.accept()[0].close()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        return same_as_untraced(lab, command)
    finally:
        over.set()
        accepting.join()


def calls_that_are_nobodys_business(lab):
    """Under the filter, getppid(2) and send(2) with recv(2) take hardly longer: no stop, no look by the kernel at the
    arguments of what is allowed in any case. The best of several runs, on a machine that may be busy."""
    times = {}
    for name, prefix in (("untraced", []), ("traced", [*TRACEDUMP, "--debug=0", "-w", lab.folder / "x.pcap", "--"])):
        runs = [list(map(float, lab.run([*prefix, program("call_loops")]).split())) for _ in range(5)]
        times[name] = [min(run[i] for run in runs) for i in range(2)]
    print("      nanoseconds for getppid, and for send and recv:", times)
    # A stop would take 5,000 ns at the very least.
    assert all(traced < untraced + 2000 for untraced, traced in zip(times["untraced"], times["traced"])), times


def few_descriptors(lab):
    """When tracedump has no descriptor left to look at sockets with, it says so, once, and the command goes on."""
    sink = Sink(lab)
    script = f"""
import threading
barrier = threading.Barrier(60)
def talk():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b"x", ("{FAR}", {SINK}))
    barrier.wait()
step()
threads = [threading.Thread(target=talk) for i in range(60)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("all sent")
"""
    traced = Scripted(lambda command, **more: lab.tracedump(["--", *command], **more), script)
    resource.prlimit(traced.process.pid, resource.RLIMIT_NOFILE, (40, 40))
    truth = lab.truth()
    traced.go_on(to_the_end=True)
    expect_equal((traced.process.wait(), traced.process.stdout()), (0, "step\nall sent\n"), "status and words")
    missing, extra = pcap.difference(truth.packets(), traced.process.packets())
    expect_equal(extra, [], "packets that are not the application's")
    if HOOKED:  # which need none of ours
        expect_equal(missing, [], "missing packets")
    else:
        expect_equal(traced.process.stderr().count("too many open files"), 1, f"warnings: {traced.process.stderr()}")
        assert 0 < len(missing) < 60, len(missing)
    del sink


def many_connections(lab):
    traced_calls(lab, [program("tcp_calls"), FAR, FAR6, "7000", "7001", "50"])


def loopback_round_trips(lab):
    """The shortest way from connect to the first packet: both ends on one host."""
    lab.start(["python3", "-B", HERE / "asyncio_echo.py", "serve", "7000"])
    lab.await_port(7000)
    truth = lab.truth()
    traced = lab.launch([program("tcp_calls"), "127.0.0.1", "::1", "7000", "7001", "20"])
    expect_same(truth.packets(), traced.packets())


main(udp, udp_without_seccomp, udp_attached, tcp, tcp_without_seccomp, tcp_attached, first_call_of_a_program,
     first_call_of_the_command, address_that_is_not_there_yet, descriptors_of_one_thread, sockets_without_ports,
     more_connections_than_ports, calls_that_are_nobodys_business, few_descriptors, thirty_two_bit, many_connections,
     loopback_round_trips)
