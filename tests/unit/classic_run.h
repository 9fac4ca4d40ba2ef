// Runs a compiled classic filter in libpcap's interpreter. In a file of its own, since libpcap and the kernel's headers
// each have a `bpf_insn`.
#pragma once

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <cstdint>
#include <memory>

#include "capture/filter_compiler.h"
#include "helpers.h"

namespace tracedump::test {

/// What the link layer says of a packet.
struct Link {
    std::uint16_t ethertype = ETH_P_IP;
    std::uint8_t packet_type = PACKET_HOST;
    std::uint16_t arphrd = ARPHRD_ETHER;
};

class ClassicRun {
public:
    /// The interpreter does not know the kernel's ancillary loads: they become constants.
    ClassicRun(const FilterProgram& program, const Link& link);

    std::uint32_t operator()(const Bytes& packet) const { return (*this)(packet, packet.size()); }
    /// With only the first `captured` bytes there to be read.
    std::uint32_t operator()(const Bytes& packet, std::size_t captured) const;

private:
    struct Code;
    std::shared_ptr<const Code> code_;
};

}  // namespace tracedump::test
