// A condition on a socket's local port, as the kernel's own small byte code (inet_diag_bc_run in net/ipv4/inet_diag.c):
// with it, a dump of all sockets passes over most of those that nobody asked for. Pure: ports in, code out.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tracedump {

/// For an INET_DIAG_REQ_BYTECODE attribute: accepts sockets on these ports (rising, each once, at least one), and where
/// that would take more than kMaxPortRanges ranges of ports, those in the smallest gaps between them too.
std::vector<std::uint8_t> port_condition(std::span<const std::uint16_t> ports);

// The kernel checks a program in a time that grows with the square of its length: this many take it half a millisecond.
inline constexpr std::size_t kMaxPortRanges = 512;

}  // namespace tracedump
