// The classic pcap format, microseconds, link type LINUX_SLL (113), in the machine's byte order, as libpcap writes
// and reads it (pcap-savefile(5), LINKTYPE_LINUX_SLL). Pure: packets in, bytes out, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "messages/packet_batch.h"

namespace tracedump {

/// libpcap's and Wireshark's largest packet; what "-s 0" means.
inline constexpr std::uint32_t kMaxSnaplen = 262144;

class PcapEncoder {
public:
    /// Keeps at most `snaplen` bytes of a packet, counted with its 16-byte link header, as tcpdump counts.
    explicit PcapEncoder(std::uint32_t snaplen) : snaplen_(snaplen) {}

    /// Both write to `out`, which has room for the largest (below), and return where what they wrote ends.
    std::uint8_t* put_file_header(std::uint8_t* out) const;
    std::uint8_t* put_record(std::uint8_t* out, const PacketRef& packet) const;

    static constexpr std::size_t kFileHeaderSize = 24;
    static constexpr std::size_t kRecordHeaderSize = 16;
    static constexpr std::size_t kLinkHeaderSize = 16;
    static constexpr std::size_t kLargestRecord = kRecordHeaderSize + kMaxSnaplen;

private:
    std::uint32_t snaplen_;
};

}  // namespace tracedump
