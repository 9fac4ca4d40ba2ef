"""A peer that never answers a datagram, so that none can come after the application has closed its socket."""

import socket

from harness import FAR, socket_in

SINK = "7000"


def datagram_sink(lab):
    """In the far namespace, port SINK: takes datagrams, and answers nothing."""
    receiver = socket_in(lab.far, socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind((FAR, int(SINK)))
    return receiver


class Sink:
    """In the far namespace, port SINK: takes datagrams and connections, for as long as the object lives."""

    def __init__(self, lab):
        self.datagrams = datagram_sink(lab)
        self.listener = socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM)
        self.listener.bind((FAR, int(SINK)))
        self.listener.listen(1000)
