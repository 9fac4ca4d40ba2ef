// The pcapng format (draft-ietf-opsawg-pcapng), nanoseconds, one interface "any" of link type LINUX_SLL, in the
// machine's byte order. Its blocks have options, and readers pass over those that they do not know: so what lies
// between the packets in a ring block can be written with them, as an option of the packet before, and a packet need
// not be copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "writer/encoder.h"

namespace tracedump {

class PcapngEncoder : public Encoder {
public:
    /// What wrote the file, and on what, as the file's header tells.
    struct Origin {
        std::string application, system;
    };

    /// Keeps at most `snaplen` bytes of a packet.
    PcapngEncoder(std::uint32_t snaplen, Origin origin) : snaplen_(snaplen), origin_(std::move(origin)) {}

    std::uint8_t* put_file_header(std::uint8_t* out) const override;
    std::uint8_t* put_record(std::uint8_t* out, const PacketRef& packet) const override;
    std::uint8_t* put_statistics(std::uint8_t* out, const CaptureStatistics& statistics) const override;
    std::optional<FormedBlock> form_in_place(PacketBatch& batch) const override;
    std::uint8_t* put_filler(std::uint8_t* out, std::size_t place) const override;

private:
    // A block with less in it is better copied together with others: each begins and ends with a unit of the file.
    static constexpr std::size_t kSmallestFormed = 64 << 10;  // bytes
    // So is one with more between its packets.
    static constexpr std::size_t kLargestWaste = 4;  // a fourth

    std::size_t size_in_place(const PacketBatch& batch) const;

    const std::uint32_t snaplen_;
    const Origin origin_;
};

}  // namespace tracedump
