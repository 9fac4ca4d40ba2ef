"""Targets that talk by any protocol and with any socket options: an echo server, a client, and one that obeys.

protocols.py serve KIND FAMILY PORT [SETUP]              tcp, udp, udplite or mptcp; 4 or 6; setups: see below
protocols.py talk KIND HOST PORT SOURCE [SETUP]          from a source port, or 0 for the kernel's choice
protocols.py obey                                        runs each line of standard input as Python
"""

import socket
import struct
import sys
import threading

UDPLITE, MPTCP = 136, 262
IPV6_HOPOPTS, IPV6_RTHDRDSTOPTS, IPV6_RTHDR, IPV6_DSTOPTS = 54, 55, 57, 59
KINDS = {"tcp": (socket.SOCK_STREAM, 0), "mptcp": (socket.SOCK_STREAM, MPTCP),
         "udp": (socket.SOCK_DGRAM, 0), "udplite": (socket.SOCK_DGRAM, UDPLITE)}
SIZES = (1, 100, 1200, 5000, 20000)  # from one packet to fragments


def opened(kind, family):
    type_, protocol = KINDS[kind]
    made = socket.socket(family, type_, protocol)
    made.settimeout(15)
    if type_ == socket.SOCK_STREAM:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def padding(length):
    """An options header of `length` bytes, with an option for experiments that receivers pass over (RFC 4727)."""
    return struct.pack("BBBB", 0, length // 8 - 1, 0x1e, length - 4) + bytes(length - 4)


def route_by(host):
    """A segment routing header: nothing but the destination, no segments left (RFC 8754)."""
    return struct.pack(">BBBBBBH", 0, 2, 4, 0, 0, 0, 0) + socket.inet_pton(socket.AF_INET6, host)


SETUPS = {
    "plain": lambda s: None,
    "nops": lambda s: s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1, 1, 1, 1, 1, 1, 1, 1])),
    "route": lambda s: s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([7, 39, 4, *[0] * 37])),
    "hop": lambda s: s.setsockopt(socket.IPPROTO_IPV6, IPV6_HOPOPTS, padding(8)),
    "destination": lambda s: s.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS, padding(24)),
    "both": lambda s: [s.setsockopt(socket.IPPROTO_IPV6, option, value)
                       for option, value in ((IPV6_HOPOPTS, padding(16)), (IPV6_DSTOPTS, padding(40)))],
    # Only in requests: a listener does not know its peer yet.
    "routed": lambda s: [s.setsockopt(socket.IPPROTO_IPV6, option, value)
                         for option, value in ((IPV6_RTHDR, route_by(sys.argv[3])), (IPV6_RTHDRDSTOPTS, padding(8)),
                                               (IPV6_DSTOPTS, padding(8)))],
    "coverage": lambda s: s.setsockopt(UDPLITE, 10, 8),  # UDPLITE_SEND_CSCOV: the header alone
}


def receive(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(65536)
        assert more, "the connection ended early"
        data += more
    return data


def echo(connection):
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


def serve(kind, family, port, setup):
    server = opened(kind, socket.AF_INET6 if family == "6" else socket.AF_INET)
    server.settimeout(None)
    if family == "6":
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind(("", int(port)))
    SETUPS["both" if setup == "routed" else setup](server)
    if server.type == socket.SOCK_DGRAM:
        while True:
            data, peer = server.recvfrom(65536)
            server.sendto(data, peer)
    server.listen()
    while True:
        connection, _ = server.accept()
        threading.Thread(target=echo, args=[connection], daemon=True).start()


def talk(kind, host, port, source, setup):
    to = (host, int(port))
    for at, size in enumerate(SIZES):
        with opened(kind, family_of(host)) as s:
            SETUPS[setup](s)
            if int(source):
                s.bind(("", int(source) + at))
            message = bytes([at + 1]) * size
            if s.type == socket.SOCK_STREAM:
                s.connect(to)
                s.sendall(message)
                assert receive(s, size) == message
            else:
                s.sendto(message, to)
                assert s.recv(65536) == message


def obey():
    print("ready", flush=True)
    for line in sys.stdin:
        exec(line, globals())  # pylint: disable=exec-used
        print("done", flush=True)


if __name__ == "__main__":
    order, *arguments = sys.argv[1:]
    if order == "obey":
        obey()
    elif order == "serve":
        serve(*arguments, *["plain"] * (4 - len(arguments)))
    else:
        talk(*arguments, *["plain"] * (5 - len(arguments)))
