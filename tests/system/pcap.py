"""Reads capture files, classic ones and pcapng, and compares two of them as multisets of IP packets.

As a program: pcap.py TRUTH CAPTURE names each packet that is in one file and not in the other.
"""

import collections
import ipaddress
import struct
import sys

# Link types (https://www.tcpdump.org/linktypes.html): where the ethertype is and how long the header is.
LINK_TYPES = {1: (12, 14), 113: (14, 16), 276: (0, 20)}
ETHERTYPES = (0x0800, 0x86DD)
TCP, UDP, UDPLITE = 6, 17, 136
ICMP, ICMPV6 = 1, 58
ICMP_ERRORS = {ICMP: (3, 4, 5, 11, 12), ICMPV6: range(128)}
FRAGMENT_HEADER = 44
OPTION_HEADERS = (0, 43, 60, 135)  # hop-by-hop, routing, destination, mobility: the length in units of 8 bytes
TCP_FLAGS = "FSRP.U"
PCAPNG_SECTION = b"\n\r\r\n"
PCAPNG_INTERFACE, PCAPNG_STATISTICS, PCAPNG_PACKET = 1, 5, 6


class Packet:
    """One IP packet of a capture file: when, how long, and what its headers say."""

    def __init__(self, time, original_length, ip):
        self.time = time
        self.original_length = original_length
        self.ip = ip
        self.protocol = None
        self.source = self.destination = None
        self.source_port = self.destination_port = None
        self.flags = ""
        self.datagram = None  # of a fragment: what its fellows have in common
        self.quoted = None  # the packet that an ICMP error is about
        self._parse()

    def _parse(self):
        version = self.ip[0] >> 4
        if version == 4:
            header = (self.ip[0] & 15) * 4
            self.protocol = self.ip[9]
            identification, fragment = struct.unpack_from(">HH", self.ip, 4)
            if fragment & 0x3FFF:
                self.datagram = (self.ip[12:20], identification, self.protocol)
            later = fragment & 0x1FFF
            self.source = ipaddress.ip_address(self.ip[12:16])
            self.destination = ipaddress.ip_address(self.ip[16:20])
        elif len(self.ip) >= 40:
            header = 40
            self.protocol = self.ip[6]
            later = 0
            while not later and len(self.ip) >= header + 8:
                if self.protocol == FRAGMENT_HEADER:
                    self.protocol, _, fragment, identification = struct.unpack_from(">BBHI", self.ip, header)
                    self.datagram = (self.ip[8:40], identification)
                    later = fragment & 0xFFF8
                    header += 8
                elif self.protocol in OPTION_HEADERS:
                    self.protocol, length = struct.unpack_from("BB", self.ip, header)
                    header += 8 + 8 * length
                else:
                    break
            self.source = ipaddress.ip_address(self.ip[8:24])
            self.destination = ipaddress.ip_address(self.ip[24:40])
        else:
            return
        if not later and self.protocol in ICMP_ERRORS and len(self.ip) >= header + 28 \
                and self.ip[header] in ICMP_ERRORS[self.protocol]:
            self.quoted = Packet(self.time, 0, self.ip[header + 8:])
            self.source_port, self.destination_port = self.quoted.ports()
        if not later and self.protocol in (TCP, UDP, UDPLITE) and len(self.ip) >= header + 4:
            self.source_port, self.destination_port = struct.unpack_from(">HH", self.ip, header)
            if self.protocol == TCP and len(self.ip) > header + 13:
                bits = self.ip[header + 13]
                self.flags = "".join(name for i, name in enumerate(TCP_FLAGS) if bits >> i & 1)

    def ports(self):
        return self.source_port, self.destination_port

    def __str__(self):
        name = {TCP: "tcp", UDP: "udp", UDPLITE: "udplite", ICMP: "icmp about", ICMPV6: "icmp6 about"}.get(self.protocol, self.protocol)
        return (f"{self.time:.6f} {name} {self.source}:{self.source_port} > "
                f"{self.destination}:{self.destination_port} [{self.flags}] length {len(self.ip)}")


def read(path):
    """The IP packets of a capture file. A last record that was cut off is an error, as for any reader."""
    with open(path, "rb") as file:
        data = file.read()
    records = _pcapng_records(path, data) if data[:4] == PCAPNG_SECTION else _pcap_records(path, data)
    packets = []
    for time, link_type, original, record in records:
        at_ethertype, link_header = LINK_TYPES[link_type]
        if struct.unpack_from(">H", record, at_ethertype)[0] in ETHERTYPES and len(record) >= link_header + 20:
            packets.append(Packet(time, original - link_header, record[link_header:]))
    _lend_ports(packets)
    return packets


def _pcap_records(path, data):
    """Time, link type, original length and bytes of each."""
    magic = data[:4]
    if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
        order = "<"
    elif magic in (b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d"):
        order = ">"
    else:
        raise ValueError(f"{path} is no pcap file")
    fraction = 1e-9 if magic in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d") else 1e-6
    link_type = struct.unpack_from(order + "I", data, 20)[0]
    position = 24
    while position < len(data):
        seconds, parts, captured, original = struct.unpack_from(order + "IIII", data, position)
        position += 16
        record = data[position:position + captured]
        if len(record) != captured:
            raise ValueError(f"{path} ends in the middle of a packet")
        position += captured
        yield seconds + parts * fraction, link_type, original, record


def pcapng_blocks(path, data):
    """Type and body of each block of a file with one section, in this machine's byte order (all that we write)."""
    position = 0
    while position < len(data):
        if len(data) - position < 12:
            raise ValueError(f"{path} ends in the middle of a block")
        kind, length = struct.unpack_from("=II", data, position)
        if length > len(data) - position:
            raise ValueError(f"{path} ends in the middle of a block")
        if length < 12 or length % 4 or struct.unpack_from("=I", data, position + length - 4)[0] != length:
            raise ValueError(f"{path} has a block of type {kind:#x} at {position} whose lengths are wrong")
        yield kind, data[position + 8:position + length - 4]
        position += length


def _pcapng_records(path, data):
    """As _pcap_records; times are nanoseconds."""
    link_type = None
    for kind, body in pcapng_blocks(path, data):
        if kind == PCAPNG_INTERFACE:
            link_type = struct.unpack_from("=H", body)[0]
        if kind == PCAPNG_PACKET:
            interface, high, low, captured, original = struct.unpack_from("=IIIII", body)
            assert interface == 0, f"{path} has a packet of interface {interface}"
            yield (high << 32 | low) * 1e-9, link_type, original, body[20:20 + captured]


def _lend_ports(packets):
    """Later fragments have the ports and the protocol of their first one, wherever in the file that is."""
    first = {p.datagram: p for p in packets if p.datagram and p.source_port is not None}
    for packet in packets:
        if packet.source_port is None and packet.datagram in first:
            packet.source_port, packet.destination_port = first[packet.datagram].ports()
            packet.protocol = first[packet.datagram].protocol


def transport(packets, icmp=False):
    """Those that tracedump is about: with --icmp errors that quote them too."""
    return [p for p in packets if p.protocol in (TCP, UDP, UDPLITE)
            or icmp and p.quoted and p.quoted.protocol in (TCP, UDP, UDPLITE)]


def difference(truth, capture):
    """The packets that are missing from `capture`, and those that it has too many."""
    wanted = collections.Counter(p.ip for p in truth)
    got = collections.Counter(p.ip for p in capture)
    return _pick(truth, wanted - got), _pick(capture, got - wanted)


def _pick(packets, counts):
    picked = []
    for packet in packets:
        if counts[packet.ip] > 0:
            counts[packet.ip] -= 1
            picked.append(packet)
    return picked


def describe(missing, extra):
    return "\n".join([f"missing: {p}" for p in missing] + [f"extra:   {p}" for p in extra])


if __name__ == "__main__":
    only_missing, only_extra = difference(*(transport(read(path)) for path in sys.argv[1:3]))
    print(describe(only_missing, only_extra) or "the same packets")
    sys.exit(1 if only_missing or only_extra else 0)
