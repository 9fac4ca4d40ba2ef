// Compiles the kernel's filter, classic BPF, from a port set. Pure: values in, instructions out, any thread.
//
// The program accepts a superset of the application's packets, cheaply: TCP, UDP or UDP-Lite with a local port of the
// set, or to or from a remote that it is connected or connecting to, and all fragments, whose ports are
// in the first one alone.
// Transport, addresses, time and owner are the classifier's. It runs on a SOCK_DGRAM packet socket, where offset 0 is
// the network header, and so knows nothing of link layers. Of a packet on the loopback it drops the outgoing copy.
//
// Membership is a balanced tree of comparisons, its leaves a few ranges each: log2(n) and some steps for a packet. A
// set that does not fit the kernel's limit of instructions is widened: the smallest gaps between ranges are closed
// until it does.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "ports/port_set.h"

namespace tracedump {

struct Range {
    std::uint32_t first = 0;
    std::uint32_t last = 0;  // inclusive

    bool operator==(const Range&) const = default;
};

/// Sorted, disjoint ranges that do not touch.
using Ranges = std::vector<Range>;

/// What a filter accepts. A connected socket can be told by its port or by its remote; where the application has few
/// remotes, they serve better: a client's next connection to the same server then finds the filter ready.
struct FilterSpec {
    Ranges ports;
    Ranges remotes;  // of remote_key()

    static FilterSpec of(const PortSet& set);
    bool empty() const { return ports.empty() && remotes.empty(); }
    bool covers(const FilterSpec& other) const;
    /// Whether it accepts the packets of all these claims to `port`.
    bool covers(std::uint16_t port, std::span<const Claim> claims) const;
    bool covers(const Endpoint& remote) const;
    /// How many ports it accepts.
    std::uint32_t port_count() const;
};

/// The 32-bit number by which the filter knows a remote endpoint. Two remotes may share one: it is a superset.
std::uint32_t remote_key(const Endpoint& remote);

/// Closes the smallest gaps until at most `limit` (at least 1) ranges are left.
void widen(Ranges& ranges, std::size_t limit);

struct FilterProgram {
    FilterSpec spec;  // as widened
    std::vector<sock_filter> instructions;
};

/// With `icmp_errors` all errors of ICMP and ICMPv6 are accepted too; whom they quote is the classifier's.
/// At most `max_instructions` long (at least 256; the kernel takes BPF_MAXINSNS, 4096). A packet that is accepted
/// is cut off at `snaplen` bytes.
FilterProgram compile_filter(FilterSpec spec, std::uint32_t snaplen, std::size_t max_instructions = BPF_MAXINSNS,
                             bool icmp_errors = false);

}  // namespace tracedump
