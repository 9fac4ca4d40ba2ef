// A format of capture files: packets in, bytes out; they touch nothing else, but for form_in_place() the block that the
// packets lie in. The writer thread's, once it runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "messages/packet_batch.h"

namespace tracedump {

/// libpcap's and Wireshark's largest packet; what "-s 0" means. Counted with its link header, as tcpdump counts.
inline constexpr std::uint32_t kMaxSnaplen = 262144;

/// What became of the application's packets, told at the end.
struct CaptureStatistics {
    Timestamp began = 0, ended = 0;
    std::uint64_t received = 0;  // by the kernel's filter
    std::uint64_t dropped = 0;   // of those, for want of room in the ring
    std::uint64_t written = 0;
};

/// A ring block whose records were formed where its packets lay.
struct FormedBlock {
    std::span<const std::uint8_t> bytes;     // whole units of a ByteSink, from the block's first byte on
    std::vector<std::uint32_t> record_ends;  // one a packet, in `bytes`
};

class Encoder {
public:
    virtual ~Encoder() = default;

    /// What a piece of memory must have room for beyond the place where one of these may begin to write. Each returns
    /// where what it wrote ends.
    static constexpr std::size_t kLargestRecord = kMaxSnaplen + 128;
    virtual std::uint8_t* put_file_header(std::uint8_t* out) const = 0;
    virtual std::uint8_t* put_record(std::uint8_t* out, const PacketRef& packet) const = 0;
    virtual std::uint8_t* put_statistics(std::uint8_t* out, const CaptureStatistics&) const { return out; }

    /// A format that can skip bytes needs no copy of a packet that lies in the ring: what lies between becomes part of
    /// the file, as nothing. Nullopt where the format cannot, where a packet does not lie in the block, and where it
    /// would not be worth it. Else the batch's packets are not to be looked at any more.
    virtual std::optional<FormedBlock> form_in_place(PacketBatch&) const { return std::nullopt; }

    /// Nothing, so much of it that the file's end, now `place` bytes into a unit of the sink's, is where one begins.
    /// Called where form_in_place() has formed a block alone.
    virtual std::uint8_t* put_filler(std::uint8_t* out, std::size_t /*place*/) const { return out; }
};

}  // namespace tracedump
