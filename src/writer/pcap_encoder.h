// The classic pcap format, microseconds, link type LINUX_SLL (113), in the machine's byte order, as libpcap writes
// and reads it (pcap-savefile(5), LINKTYPE_LINUX_SLL). Pure: packets in, bytes out, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "writer/encoder.h"

namespace tracedump {

class PcapEncoder : public Encoder {
public:
    /// Keeps at most `snaplen` bytes of a packet.
    explicit PcapEncoder(std::uint32_t snaplen) : snaplen_(snaplen) {}

    std::uint8_t* put_file_header(std::uint8_t* out) const override;
    std::uint8_t* put_record(std::uint8_t* out, const PacketRef& packet) const override;

    static constexpr std::size_t kFileHeaderSize = 24;
    static constexpr std::size_t kRecordHeaderSize = 16;

private:
    const std::uint32_t snaplen_;
};

}  // namespace tracedump
