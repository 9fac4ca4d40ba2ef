"""Every packet of the application and no packet of any other, when both do the same, a lot, at the same time."""

import contextlib
import os
import socket
import struct
import subprocess
import threading

import pcap
from harness import (FAR, FAR6, HOOKED, NEAR, STRANGER_PORTS, expect_equal, expect_same, main, network_namespace,
                     packets_so_far, program, socket_in, wait_for)
from scripted import Scripted
from sink import SINK, Sink
from ways import WAYS, Traced

OUR_PORTS = ("30000", "60999")
THEIR_PORTS = (str(STRANGER_PORTS[0]), str(STRANGER_PORTS[-1]))


def share_out_ports(lab):
    """IP_LOCAL_PORT_RANGE chooses from within the namespace's range."""
    subprocess.run(["ip", "netns", "exec", lab.near, "sysctl", "-qw", "net.ipv4.ip_local_port_range=20000 60999"],
                   check=True)


def echo_server(lab, namespace):
    lab.start([program("echo_server"), "7000"], namespace=namespace)
    lab.await_port(7000, "tcp", namespace)
    lab.await_port(7000, "udp", namespace)


def storm_between(lab, namespace, v4, v6):
    """20,000 exchanges by 8 processes of 4 threads, while strangers make as many with the same server."""
    share_out_ports(lab)
    echo_server(lab, namespace)
    truth = lab.truth(largest=400)
    load = [program("storm"), v4, v6, "7000", "8", "4", "625"]
    strangers = lab.start([*load, *THEIR_PORTS])
    # Nothing holds the load up; room for what a tracedump with sanitizers cannot take in time.
    traced = lab.launch([*load, *OUR_PORTS], options=["--buffer-size=256"], deadline=90)
    expect_equal(strangers.wait(90), 0, "the strangers' status")
    packets = truth.packets()
    assert len(packets) > 100000, len(packets)
    expect_same(packets, traced.packets())
    assert "20000 sockets" in traced.stderr(), traced.stderr()


def storm_over_the_wire(lab):
    storm_between(lab, lab.far, FAR, FAR6)


def storm_on_the_loopback(lab):
    storm_between(lab, lab.near, "127.0.0.1", "::1")


def port_that_a_stranger_has(lab):
    """The application fails to bind the port of a busy stranger, again and again: none of its packets are taken."""
    stranger = Scripted(lab.start, f"""
server = socket.create_server(("{NEAR}", 21000))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("{NEAR}", 21000))
import threading
def echo():
    while True: datagrams.sendto(*datagrams.recvfrom(100))
threading.Thread(target=echo, daemon=True).start()
connection = None
def accept():
    global connection
    connection, _ = server.accept()
thread = threading.Thread(target=accept)
thread.start()
step()
thread.join()
while data := connection.recv(100): connection.sendall(data)
""")
    truth = lab.truth(largest=2000)
    with socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM) as tcp, \
            socket_in(lab.far, socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.connect((NEAR, 21000))
        stranger.go_on(to_the_end=True)
        sink = Sink(lab)
        ours = lab.tracedump(["--", "python3", "-c", f"""
import socket, sys
failed = 0
for i in range(2000):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        s = socket.socket(socket.AF_INET, kind)
        try: s.bind(("{NEAR}", 21000))
        except OSError as e: failed += e.errno == 98
        if i % 500 == 0: s.connect(("{FAR}", 7000))
        s.close()
print(failed)
"""])
        exchanged = 0
        while ours.running():
            tcp.sendall(b"stranger")
            tcp.recv(100)
            udp.sendto(b"stranger", (NEAR, 21000))
            udp.recv(100)
            exchanged += 1
        expect_equal((ours.wait(), ours.stdout()), (0, "4000\n"), "status and failed binds")
        packets = truth.packets()
        del sink
    assert exchanged > 100, f"the stranger was idle: {exchanged}"
    expect_same(packets, ours.packets())


def address_changed_under_the_call(lab):
    """One thread binds to what another keeps changing: to a port that is free and a busy stranger's. Whatever was
    read first, no packet of the stranger is taken, and the application's are there."""
    stranger = lab.start([program("echo_server"), "21000"])
    lab.await_port(21000, "udp")
    sink = Sink(lab)
    for way in WAYS:
        truth = lab.truth(largest=2000)
        ours = Traced(lab, way, [program("shifting_calls"), "ports", FAR, SINK, "21000", "31000"])
        exchanged = 0
        with socket_in(lab.far, socket.AF_INET, socket.SOCK_DGRAM) as peer:
            while ours.running():
                peer.sendto(b"stranger", (NEAR, 21000))
                peer.recv(100)
                exchanged += 1
        captured = ours.end()
        theirs, had = map(int, ours.stdout().split()[-2:])
        assert exchanged > 100 and theirs == 0 and had > 100, f"{exchanged} exchanged, {theirs} and {had} bound"
        packets = truth.packets()
        expect_equal(len(packets), had, "packets of the application")
        expect_same(packets, captured)
    assert stranger.running()
    del sink


def socket_replaced_while_it_connects(lab):
    """A connect is under way when another thread puts another socket in its descriptor's place (dup2): the connection
    is the application's to its end, which comes when connect returns."""
    late = "10.77.0.3"
    echo_server(lab, lab.far)
    deaf = ["ip", "-n", lab.far, "rule", "add", "from", late, "blackhole"]
    subprocess.run(["ip", "-n", lab.far, "address", "add", late + "/24", "dev", "veth0"], check=True)
    for attached in (False, True):
        subprocess.run(deaf, check=True)
        truth = lab.truth()
        start = lab.start if attached else lambda command, **more: lab.tracedump(["--", *command], file="launched.pcap",
                                                                                **more)
        ours = Scripted(start, f"""
import threading
s, other = socket.socket(), socket.socket()
thread = threading.Thread(target=lambda: print("connect:", s.connect_ex(("{late}", 7000)), flush=True))
step()
thread.start()
step()
os.dup2(other.fileno(), s.fileno())
step()
thread.join()
""")
        traced = lab.attach(ours.process) if attached else ours.process
        ours.go_on()
        wait_for("the SYN", lambda: lab.run(["ss", "-Htn", "state", "syn-sent"]).strip())
        ours.go_on()
        subprocess.run([word if word != "add" else "delete" for word in deaf], check=True)
        ours.go_on(to_the_end=True)
        expect_equal((ours.process.wait(), traced.wait()), (0, 0), "statuses")
        assert "connect: 0" in ours.process.stdout(), ours.process.stdout()
        packets = truth.packets()
        assert len(packets) >= 7, "no retransmission of the SYN: the test shows nothing"
        expect_same(packets, traced.packets())


@contextlib.contextmanager
def stranger_who_connects(lab, ports):
    """All the while, in a thread, to the far echo server, from these ports. Gives who tells how often so far."""
    done, over = [], threading.Event()

    def connect():
        with network_namespace(lab.near):
            while not over.wait(0.001):
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stranger:
                    stranger.bind(("", next(ports)))
                    stranger.connect((FAR, 7000))
                    stranger.sendall(b"stranger")
                    done.append(stranger.recv(100))

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        wait_for("the stranger", lambda: done)
        yield lambda: len(done)
    finally:
        over.set()
        thread.join()


def sockets_replaced_before_they_connect(lab):
    """One thread connects, another puts other sockets in its descriptor's place without pause: which of them the kernel
    takes, nobody can tell if it is gone when connect returns. What is captured is the application's."""
    echo_server(lab, lab.far)
    share_out_ports(lab)
    ports = iter(STRANGER_PORTS)
    for way in WAYS:
        truth = lab.truth(largest=2000)
        with stranger_who_connects(lab, ports) as connections:
            before = connections()
            ours = Traced(lab, way, [program("shifting_calls"), "sockets", FAR, "7000"])
            captured = ours.end()
            expect_equal(ours.stdout(), "300\n", "connects that succeeded")
            assert connections() > before + 10, "the stranger was idle: the test shows nothing"
        missing, extra = pcap.difference(truth.packets(), captured)
        expect_equal(extra, [], "packets that are not the application's")
        print(f"      {way}: {len(missing)} of 1800 packets missing")
        assert len(missing) < 1800, "nothing was captured"


def application_that_has_the_cpu_first(lab):
    """Whatever it does between two stops, it does before its tracer can do anything."""
    echo_server(lab, lab.far)
    truth = lab.truth()
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(here)})
    try:
        ours = lab.tracedump(["--", "python3", "-c", f"""
import os, socket, time
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
time.sleep(0.5)  # until its tracer has got over the start of Python
kept = []
for i in range(200):
    for blocks in (True, False):
        s = socket.socket()
        s.setblocking(blocks)
        s.connect_ex(("{FAR}", (7000, 7009)[i % 2]))  # nobody is at the second
        if i < 10: kept.append(os.dup(s.fileno()))
        s.close()
"""])
    finally:
        os.sched_setaffinity(0, here)
    expect_equal(ours.wait(), 0, "status")
    packets = truth.packets()
    expect_equal(sum(p.flags == "S" for p in packets), 400, "connections")
    expect_same(packets, ours.packets())


def slow_connect(lab):
    """A connect that blocks for seconds to a host that does not answer, and strangers that try the same host."""
    silent = "10.77.0.3"
    for words in (["address", "add", silent + "/24", "dev", "veth0"], ["rule", "add", "from", silent, "blackhole"]):
        subprocess.run(["ip", "-n", lab.far, *words], check=True)
    truth = lab.truth()
    connect = "import signal, socket; signal.alarm(4); socket.socket().connect(('%s', 8080))" % silent
    traced = lab.tracedump(["--", "python3", "-c", connect])
    traced.await_begin()
    attempts = f"for i in $(seq 8); do curl -m 0.3 -s --local-port 20000-29999 http://{silent}:8080/; done"
    lab.start(["bash", "-c", attempts]).wait()
    expect_equal(traced.wait(), -14, "death by SIGALRM")
    packets = truth.packets()
    assert len(packets) >= 3, "no retransmissions of the SYN: the test shows nothing"
    expect_same(packets, traced.packets())
    assert "lost" not in traced.stderr(), traced.stderr()


def same_port_other_owner(lab):
    """Strangers with the application's port number: on another address, and in the other protocol."""
    subprocess.run(["ip", "-n", lab.near, "address", "add", "10.77.0.9/24", "dev", "veth0"], check=True)
    echo_server(lab, lab.far)
    server = lab.start(["nc", "-l", "-k", NEAR, "7200"])
    lab.await_port(7200)
    traced = lab.attach(server)
    truth = lab.truth()
    with socket_in(lab.near, socket.AF_INET, socket.SOCK_STREAM) as elsewhere, \
            socket_in(lab.near, socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        elsewhere.bind(("10.77.0.9", 7200))
        elsewhere.connect((FAR, 7000))
        elsewhere.sendall(b"stranger")
        elsewhere.recv(100)
        datagrams.bind((NEAR, 7200))
        datagrams.sendto(b"stranger", (FAR, 7000))
        datagrams.settimeout(10)
        datagrams.recv(100)
        with socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM) as ours:
            ours.connect((NEAR, 7200))
            ours.sendall(b"hello\n")
            wait_for("the line", lambda: "hello" in server.stdout())
    wait_for("the connections to close", lambda: not lab.run(["ss", "-Htn", "state", "established"]).strip())
    everything = truth.packets()
    traced.end()
    foreign = [p for p in everything if "10.77.0.9" in (str(p.source), str(p.destination)) or p.protocol == 17]
    assert foreign, "no strangers: the test shows nothing"
    expect_same([p for p in everything if p not in foreign], traced.packets())


def same_ephemeral_port_other_remote(lab):
    """The kernel gives one local port to several connections, as long as their remotes differ."""
    for port in (7000, 7001):
        lab.start([program("echo_server"), str(port)], namespace=lab.far)
        lab.await_port(port, "tcp", lab.far)
    truth = lab.truth()
    talk = """
import socket, struct, sys
s = socket.socket()
s.setsockopt(socket.IPPROTO_IP, 51, struct.pack("HH", 41000, 41000))  # IP_LOCAL_PORT_RANGE
s.connect(("%s", int(sys.argv[1])))
for i in range(20):
    s.send(b"hello")
    s.recv(100)
""" % FAR
    ours = Scripted(lambda command, **options: lab.tracedump(["--", *command, "7000"], **options), talk + "step()")
    stranger = Scripted(lambda command, **options: lab.start([*command, "7001"], **options), talk + "step()")
    for program_ in (stranger, ours):
        program_.go_on(to_the_end=True)
        expect_equal(program_.process.wait(), 0, "status")
    packets = truth.packets()
    expect_equal({p.ports() for p in packets}, {(41000, 7000), (7000, 41000), (41000, 7001), (7001, 41000)}, "ports")
    expect_same([p for p in packets if 7000 in p.ports()], ours.process.packets())


def after_the_process_is_gone(lab):
    """The peer closes a while after the application has ended: its FIN, and the last ACK, are awaited."""
    truth = lab.truth()
    with socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((FAR, 7400))
        listener.listen()
        script = f"import socket; s = socket.create_connection(('{FAR}', 7400)); s.send(b'hello'); s.recv(100)"
        traced = lab.tracedump(["--", "python3", "-c", script])
        peer, _ = listener.accept()
        with peer:
            peer.sendall(peer.recv(100))
            wait_for("the FIN", lambda: lab.run(["ss", "-Htn", "state", "fin-wait-2"]).strip())
            assert traced.running()
        expect_equal(traced.wait(), 0, "status")
    packets = truth.packets()
    expect_equal([p.flags for p in packets[-2:]], ["F.", "."], "the end")
    expect_same(packets, traced.packets())


def listener_gone_connection_stays(lab):
    """A server that closes its listener once it has accepted: the connection goes on, and is the application's."""
    truth = lab.truth()
    script = f"""
import socket
listener = socket.create_server(("{NEAR}", 7300))
connection, _ = listener.accept()
listener.close()
for line in connection.makefile():
    print(line, end="", flush=True)
"""
    traced = lab.tracedump(["--", "python3", "-c", script])
    lab.await_port(7300)
    with socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM) as peer:
        peer.connect((NEAR, 7300))
        wait_for("the listener to close", lambda: not lab.run(["ss", "-Htln", "sport = :7300"]).strip())
        for i in range(20):
            peer.sendall(b"line %d\n" % i)
            wait_for("the line", lambda: f"line {i}\n" in traced.stdout())
    expect_equal(traced.wait(), 0, "status")
    expect_same(truth.packets(), traced.packets())


def many_bound_ports(lab):
    """The set grows to thousands of ports, wider than the kernel's filter can tell; the file is exact all the same."""
    share_out_ports(lab)
    echo_server(lab, lab.far)
    truth = lab.truth(largest=2000)
    script = f"""
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
sockets = []
for port in range(30000, 45000, 3):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", port))
    sockets.append(s)
for s in sockets[::50]:
    s.sendto(b"x", ("{FAR}", 7000))
    s.settimeout(10)
    s.recv(10)
"""
    traced = lab.tracedump(["--", "python3", "-c", script])
    strangers = lab.start([program("storm"), FAR, FAR6, "7000", "2", "2", "500", *THEIR_PORTS])
    expect_equal((traced.wait(60), strangers.wait(60)), (0, 0), "statuses")
    packets = truth.packets()
    expect_equal(len(packets), 200, "packets in the truth")
    expect_same(packets, traced.packets())


def deafen(lab):
    """`far` hears no more of what comes from `near`: its rule for local addresses moves behind a blackhole."""
    for words in (["add", "pref", "2", "lookup", "local"], ["add", "pref", "1", "from", NEAR, "blackhole"],
                  ["del", "pref", "0"]):
        subprocess.run(["ip", "-n", lab.far, "rule", *words], check=True)


def answers_after_a_reset(lab):
    """What the peer still sends after the application has reset the connection, and the kernel's answers to that."""
    truth = lab.truth()
    with socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((FAR, 7400))
        listener.listen()
        script = f"""
s = socket.create_connection(("{FAR}", 7400))
step()
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()
step()
"""
        client = Scripted(lambda command, **options: lab.tracedump(["--", *command], **options), script)
        peer, _ = listener.accept()
        with peer:
            deafen(lab)
            client.go_on()
            for _ in range(3):
                peer.sendall(b"too late")
            wait_for("the kernel's answers",
                     lambda: sum(p.flags == "R" for p in client.process.packets_so_far()) >= 2)
            client.go_on(to_the_end=True)
            expect_equal(client.process.wait(), 0, "status")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    captured = client.process.packets()
    # What the peer still sends after the end of the capture is beyond this test.
    expect_same(truth.packets()[:len(captured)], captured)


def time_wait_reused_by_a_stranger(lab):
    """The application's connection is in TIME_WAIT when a stranger connects between the same ends."""
    for name in ("tcp_tw_reuse=1", "tcp_tw_reuse_delay=1"):
        subprocess.run(["ip", "netns", "exec", lab.near, "sysctl", "-qw", f"net.ipv4.{name}"], check=True)
    echo_server(lab, lab.far)
    truth = lab.truth()
    connect = f"""
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("{NEAR}", 31000))
s.connect(("{FAR}", 7000))
s.sendall(b"hello")
s.recv(100)
s.close()
"""
    ours = Scripted(lambda command, **options: lab.tracedump(["--", *command], **options), connect + "step()")
    wait_for("TIME_WAIT", lambda: lab.run(["ss", "-Htn", "state", "time-wait"]).strip())
    for _ in range(3):
        lab.run(["python3", "-c", "import socket" + connect])
        wait_for("TIME_WAIT again", lambda: lab.run(["ss", "-Htn", "state", "time-wait"]).strip())
    ours.go_on(to_the_end=True)
    expect_equal(ours.process.wait(), 0, "status")
    everything = truth.packets()
    beginnings = [i for i, p in enumerate(everything) if p.flags == "S"]
    expect_equal(len(beginnings), 4, "connections between the same ends")
    expect_same(everything[:beginnings[1]], ours.process.packets())


@contextlib.contextmanager
def unknown_neighbour(lab):
    """The peer's address is not told for as long."""
    arp = lambda state: subprocess.run(["ip", "-n", lab.far, "link", "set", "veth0", "arp", state], check=True)
    subprocess.run(["ip", "-n", lab.near, "neighbour", "flush", "dev", "veth0"], check=True)
    arp("off")
    yield
    arp("on")


def sent_before_the_neighbour_is_known(lab, script, meanwhile=lambda: None):
    """The script closes its socket before what it has sent can go out. All that went out then, and what was captured."""
    truth = lab.truth()
    with unknown_neighbour(lab):
        ours = Scripted(lambda command, **options: lab.tracedump(["--", *command], options=["--debug=3"], **options),
                        script + "step()")
        if HOOKED:  # else the kernel tells when the socket is gone, which is then
            wait_for("the closing", lambda: " closed" in ours.process.stderr())
        meanwhile()
    wait_for("it to go out", lambda: packets_so_far(truth.path))
    ours.go_on(to_the_end=True)
    expect_equal(ours.process.wait(), 0, "status")
    return truth.packets(), ours.process.packets()


PATIENT_DATAGRAM = f"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 31000))
s.sendto(b"patience", ("{FAR}", 7000))
s.close()
"""


def datagram_that_waits_for_its_neighbour(lab):
    """Its socket is closed long before the peer's address is known and it goes out. In another network, somebody sends
    from the same port meanwhile."""
    def stranger_elsewhere():
        lab.run(["python3", "-c", """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 31000))
s.sendto(b"x", ("127.0.0.1", 7999))
"""], namespace=lab.far)

    expect_same(*sent_before_the_neighbour_is_known(lab, PATIENT_DATAGRAM, stranger_elsewhere))


def syn_that_waits_for_its_neighbour(lab):
    """So is the socket of a connect that does not wait."""
    packets, captured = sent_before_the_neighbour_is_known(lab, f"""
s = socket.socket()
s.setblocking(False)
s.connect_ex(("{FAR}", 7000))
s.close()
""")
    expect_equal(sorted(p.flags for p in packets), ["R.", "S"], "packets")
    expect_same(packets, captured)


def udp_port_shared_with_a_stranger(lab):
    """The application has it twice for a moment; what the stranger sends from there afterwards is not taken."""
    truth = lab.truth()
    bound = f"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("{NEAR}", 31000))
"""
    talk = f"""
s.sendto(b"%s", ("{FAR}", 7009))
"""
    stranger = Scripted(lab.start, bound + (talk % "stranger" + "step()") * 3)
    ours = Scripted(lambda command, **options: lab.tracedump(["--", *command], options=["--debug=3"], **options),
                    (bound + talk % "ours" + "s.close()\nstep()") * 2)
    for closings in (1, 2):
        wait_for("the closing", lambda: ours.process.stderr().count(f"udp {NEAR}:31000 closed") == closings)
        stranger.go_on()
        ours.go_on(to_the_end=closings == 2)
    expect_equal(ours.process.wait(), 0, "status")
    packets = truth.packets()
    expect_equal(len(packets), 5, "packets of both")
    expect_same([p for p in packets if p.ip.endswith(b"ours")], ours.process.packets())


def udp_port_taken_over(lab):
    """A stranger binds the port that the application has just closed, and is answered there."""
    echo_server(lab, lab.far)
    truth = lab.truth()
    talk = f"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("{NEAR}", 31000))
s.sendto(sys.argv[1].encode(), ("{FAR}", 7000))
s.recv(100)
s.close()
"""
    ours = Scripted(lambda command, **options: lab.tracedump(["--", *command, "ours"], options=["--debug=3"], **options),
                    talk + "step()" + talk + "step()")
    for closings in (1, 2):
        wait_for("the closing", lambda: ours.process.stderr().count(f"udp {NEAR}:31000 closed") == closings)
        for _ in range(3):
            lab.run(["python3", "-c", "import socket, sys" + talk, "stranger"])
        ours.go_on(to_the_end=closings == 2)
    expect_equal(ours.process.wait(), 0, "status")
    packets = truth.packets()
    expect_equal(len(packets), 16, "packets of both")
    expect_same([p for p in packets if p.ip.endswith(b"ours")], ours.process.packets())


main(storm_over_the_wire, storm_on_the_loopback, port_that_a_stranger_has, address_changed_under_the_call,
     socket_replaced_while_it_connects, sockets_replaced_before_they_connect,
     application_that_has_the_cpu_first, slow_connect, same_port_other_owner,
     same_ephemeral_port_other_remote, after_the_process_is_gone, listener_gone_connection_stays,
     many_bound_ports, answers_after_a_reset, time_wait_reused_by_a_stranger, udp_port_taken_over,
     udp_port_shared_with_a_stranger, datagram_that_waits_for_its_neighbour, syn_that_waits_for_its_neighbour)
