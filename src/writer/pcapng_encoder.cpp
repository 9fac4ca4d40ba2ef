#include "writer/pcapng_encoder.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>

#include "util/bytes.h"
#include "writer/byte_sink.h"
#include "writer/link_header.h"

namespace tracedump {

namespace {

constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a, kInterfaceDescription = 1, kInterfaceStatistics = 5,
                        kEnhancedPacket = 6;
// Types and options with the highest bit set are for local use: every reader passes over them.
constexpr std::uint32_t kFiller = 0x80007464;
constexpr std::uint16_t kPadding = 0x8000;

constexpr std::uint16_t kEndOfOptions = 0;
constexpr std::uint16_t kShbOs = 3, kShbUserappl = 4;
constexpr std::uint16_t kIfName = 2, kIfTsresol = 9;
constexpr std::uint16_t kIsbStarttime = 2, kIsbEndtime = 3, kIsbFilteraccept = 6, kIsbOsdrop = 7, kIsbUsrdeliv = 8;

struct SectionHeader {
    std::uint32_t magic = 0x1a2b3c4d;
    std::uint16_t version_major = 1;
    std::uint16_t version_minor = 0;
    std::uint32_t length_low = 0xffffffff, length_high = 0xffffffff;  // not known yet
};

struct InterfaceDescription {
    std::uint16_t link_type = kLinkType;
    std::uint16_t reserved = 0;
    std::uint32_t snaplen;
};

struct Time {
    explicit Time(Timestamp time)
        : high(static_cast<std::uint32_t>(time >> 32)), low(static_cast<std::uint32_t>(time)) {}
    std::uint32_t high, low;  // of nanoseconds since the epoch
};

struct InterfaceStatistics {
    std::uint32_t interface = 0;
    Time time;
};

struct PacketHead {
    std::uint32_t type = kEnhancedPacket;
    std::uint32_t block_length = 0;
    std::uint32_t interface = 0;
    Time time;
    std::uint32_t captured_length;
    std::uint32_t original_length;
};

PacketHead head_of(const PacketRef& packet, std::uint32_t kept) {
    return {.time = Time(packet.time),
            .captured_length = kept,
            .original_length = packet.original_length + kLinkHeaderSize};
}

struct OptionHeader {
    std::uint16_t code;
    std::uint16_t length;
};

constexpr std::size_t kBlockHeader = 8, kBlockTrailer = 4;
constexpr std::size_t kHeadSize = sizeof(PacketHead) + kLinkHeaderSize;  // before the packet's network header
static_assert(sizeof(PacketHead) == 28);
constexpr std::size_t kSmallestFiller = kBlockHeader + kBlockTrailer;
// With the status of the ring block that it begins in it.
constexpr std::size_t kSmallestFirstFiller = BlockLease::kStatusOffset + BlockLease::kStatusSize + kBlockTrailer;
// Between packets: the padding's header, the end of options, and the trailer.
constexpr std::size_t kPaddingOverhead = 2 * sizeof(OptionHeader) + kBlockTrailer;
// What an option may say of its length, in the units that blocks are padded to.
constexpr std::size_t kLargestGap = kPaddingOverhead + std::numeric_limits<std::uint16_t>::max() / 4 * 4;

constexpr std::size_t padded(std::size_t size) { return (size + 3) / 4 * 4; }

std::uint8_t* put_zeros(std::uint8_t* out, std::size_t count) {
    std::memset(out, 0, count);
    return out + count;
}

std::uint8_t* put_option(std::uint8_t* out, std::uint16_t code, const void* value, std::size_t size) {
    out = put(out, OptionHeader{code, static_cast<std::uint16_t>(size)});
    std::memcpy(out, value, size);
    return put_zeros(out + size, padded(size) - size);
}

std::uint8_t* put_option(std::uint8_t* out, std::uint16_t code, std::string_view text) {
    return put_option(out, code, text.data(), text.size());
}

template <typename Value>
std::uint8_t* put_option(std::uint8_t* out, std::uint16_t code,
                         const Value& value) requires std::is_trivially_copyable_v<Value> {
    return put_option(out, code, &value, sizeof value);
}

/// `put_body` writes what is in the block, and returns where it ends.
template <typename PutBody>
std::uint8_t* put_block(std::uint8_t* out, std::uint32_t type, PutBody put_body) {
    std::uint8_t* const end = put_body(out + kBlockHeader);
    const auto length = static_cast<std::uint32_t>(end - out + static_cast<std::ptrdiff_t>(kBlockTrailer));
    put(put(out, type), length);
    return put(end, length);
}

std::uint8_t* put_end_of_options(std::uint8_t* out) { return put(out, OptionHeader{kEndOfOptions, 0}); }

/// Where a packet's block goes on that begins here and whose packet ends there.
std::uint8_t* padded_end(std::uint8_t* block, std::uint8_t* packet_end) {
    return block + padded(static_cast<std::size_t>(packet_end - block));
}

/// The block's length to both of its ends, and from `packet_end` to `end` padding that says nothing. What lay there may
/// be a stranger's. Four zeros are the end of options.
void close_packet(std::uint8_t* block, std::uint8_t* packet_end, std::uint8_t* end) {
    put_zeros(packet_end, static_cast<std::size_t>(end - packet_end));
    std::uint8_t* const options = padded_end(block, packet_end);
    const auto gap = static_cast<std::size_t>(end - options);
    if (gap >= kPaddingOverhead)
        put(options, OptionHeader{kPadding, static_cast<std::uint16_t>(gap - kPaddingOverhead)});
    const auto length = static_cast<std::uint32_t>(end - block);
    put(block + offsetof(PacketHead, block_length), length);
    put(end - kBlockTrailer, length);
}

/// A block without meaning from a ring block's beginning to `end`. The kernel reads the ring block's status in it.
void put_filler_around_status(std::uint8_t* memory, std::uint8_t* end) {
    const auto length = static_cast<std::uint32_t>(end - memory);
    put(put(memory, kFiller), length);
    constexpr std::size_t kAfterStatus = BlockLease::kStatusOffset + BlockLease::kStatusSize;
    static_assert(BlockLease::kStatusOffset == kBlockHeader);
    put_zeros(memory + kAfterStatus, length - kAfterStatus);
    put(end - kBlockTrailer, length);
}

}  // namespace

std::uint8_t* PcapngEncoder::put_file_header(std::uint8_t* out) const {
    out = put_block(out, kSectionHeader, [this](std::uint8_t* body) {
        body = put(body, SectionHeader{});
        body = put_option(body, kShbOs, origin_.system);
        return put_end_of_options(put_option(body, kShbUserappl, origin_.application));
    });
    return put_block(out, kInterfaceDescription, [this](std::uint8_t* body) {
        constexpr std::uint8_t kNanoseconds = 9;
        body = put(body, InterfaceDescription{.snaplen = snaplen_});
        body = put_option(body, kIfName, std::string_view("any"));
        return put_end_of_options(put_option(body, kIfTsresol, kNanoseconds));
    });
}

std::uint8_t* PcapngEncoder::put_record(std::uint8_t* out, const PacketRef& packet) const {
    const std::uint32_t kept = kept_of(packet, snaplen_);
    std::uint8_t* const packet_end = put_packet(put(out, head_of(packet, kept)), packet, kept);
    std::uint8_t* const end = padded_end(out, packet_end) + kBlockTrailer;
    close_packet(out, packet_end, end);
    return end;
}

std::uint8_t* PcapngEncoder::put_statistics(std::uint8_t* out, const CaptureStatistics& statistics) const {
    return put_block(out, kInterfaceStatistics, [&](std::uint8_t* body) {
        body = put(body, InterfaceStatistics{.time = Time(statistics.ended)});
        body = put_option(body, kIsbStarttime, Time(statistics.began));
        body = put_option(body, kIsbEndtime, Time(statistics.ended));
        body = put_option(body, kIsbFilteraccept, statistics.received);
        body = put_option(body, kIsbOsdrop, statistics.dropped);
        return put_end_of_options(put_option(body, kIsbUsrdeliv, statistics.written));
    });
}

std::uint8_t* PcapngEncoder::put_filler(std::uint8_t* out, std::size_t place) const {
    std::size_t size = (ByteSink::kUnit - place) % ByteSink::kUnit;
    if (size == 0) return out;
    if (size < kSmallestFiller) size += ByteSink::kUnit;
    return put_block(out, kFiller, [size](std::uint8_t* body) { return put_zeros(body, size - kSmallestFiller); });
}

/// Bytes from the ring block's first one to the end of what is to be written. 0: it cannot be formed there, or it would
/// not be worth it.
std::size_t PcapngEncoder::size_in_place(const PacketBatch& batch) const {
    const auto memory = batch.block.memory();
    if (memory.empty() || batch.packets.empty()) return 0;
    std::size_t data_end = 0, records = 0;  // of the packet before
    for (const PacketRef& packet : batch.packets) {
        // Far beyond the block's end, if it lies elsewhere.
        const auto at = reinterpret_cast<std::uintptr_t>(packet.data) - reinterpret_cast<std::uintptr_t>(memory.data());
        const std::uint32_t kept = kept_of(packet, snaplen_);
        if (at >= memory.size() || at % 4 != 0 || kept < kLinkHeaderSize) return 0;
        const std::size_t gap_needed = data_end == 0 ? kSmallestFirstFiller : kBlockTrailer;
        if (at < data_end + gap_needed + kHeadSize) return 0;
        if (data_end != 0 && at - kHeadSize - data_end > kLargestGap) return 0;
        data_end = at + padded(kept - kLinkHeaderSize);
        records += sizeof(PacketHead) + padded(kept) + kBlockTrailer;
    }
    const auto is_worth_it = [&](std::size_t size) {
        return size <= memory.size() && size >= data_end + kBlockTrailer && size >= kSmallestFormed &&
               size - data_end <= kLargestGap && size - records <= size / kLargestWaste;
    };
    // All of a full block, even if the next packet was too large for its end: then the next block is the next in
    // memory.
    if (batch.more_follows && is_worth_it(memory.size())) return memory.size();
    const std::size_t used = (data_end + kBlockTrailer + ByteSink::kUnit - 1) / ByteSink::kUnit * ByteSink::kUnit;
    return is_worth_it(used) ? used : 0;
}

std::optional<FormedBlock> PcapngEncoder::form_in_place(PacketBatch& batch) const {
    const std::size_t size = size_in_place(batch);
    if (size == 0) return std::nullopt;
    std::uint8_t* const memory = batch.block.memory().data();
    FormedBlock formed{{memory, size}, {}};
    formed.record_ends.reserve(batch.packets.size());
    std::uint8_t *block = nullptr, *packet_end = nullptr;  // of the packet before
    const auto close_before = [&](std::uint8_t* next) {
        if (!block) return put_filler_around_status(memory, next);
        close_packet(block, packet_end, next);
        formed.record_ends.push_back(static_cast<std::uint32_t>(next - memory));
    };
    for (const PacketRef& packet : batch.packets) {
        // First what is known of it alone from where it will be overwritten.
        const LinkHeader link(packet);
        std::uint8_t* const data = memory + (packet.data - memory);
        close_before(data - kHeadSize);
        block = data - kHeadSize;
        const std::uint32_t kept = kept_of(packet, snaplen_);
        put(put(block, head_of(packet, kept)), link);
        packet_end = data + (kept - kLinkHeaderSize);
    }
    close_before(memory + size);
    return formed;
}

}  // namespace tracedump
