#include "writer/pcap_encoder.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace tracedump {

namespace {

struct FileHeader {
    std::uint32_t magic = 0xa1b2c3d4;  // microseconds
    std::uint16_t version_major = 2;
    std::uint16_t version_minor = 4;
    std::int32_t time_zone = 0;
    std::uint32_t accuracy = 0;
    std::uint32_t snaplen = 0;
    std::uint32_t link_type = 113;  // LINKTYPE_LINUX_SLL
};
static_assert(sizeof(FileHeader) == PcapEncoder::kFileHeaderSize);

struct RecordHeader {
    std::uint32_t seconds;
    std::uint32_t microseconds;
    std::uint32_t captured_length;
    std::uint32_t original_length;
};
static_assert(sizeof(RecordHeader) == PcapEncoder::kRecordHeaderSize);

/// All in network byte order.
struct LinkHeader {
    std::uint16_t direction;
    std::uint16_t arphrd;
    std::uint16_t address_length;
    std::uint8_t address[8];
    std::uint16_t ethertype;
};
static_assert(sizeof(LinkHeader) == PcapEncoder::kLinkHeaderSize);

template <typename Part>
std::uint8_t* put(std::uint8_t* out, const Part& part, std::size_t size = sizeof(Part)) {
    std::memcpy(out, &part, size);
    return out + size;
}

constexpr auto kLinkSize = static_cast<std::uint32_t>(PcapEncoder::kLinkHeaderSize);

}  // namespace

std::uint8_t* PcapEncoder::put_file_header(std::uint8_t* out) const {
    FileHeader header;
    header.snaplen = snaplen_;
    return put(out, header);
}

std::uint8_t* PcapEncoder::put_record(std::uint8_t* out, const PacketRef& packet) const {
    const std::uint32_t kept = std::min(packet.captured_length + kLinkSize, snaplen_);
    RecordHeader record{};
    record.seconds = static_cast<std::uint32_t>(packet.time / kNanosPerSecond);
    record.microseconds = static_cast<std::uint32_t>(packet.time % kNanosPerSecond / 1000);
    record.captured_length = kept;
    record.original_length = packet.original_length + kLinkSize;
    out = put(out, record);

    LinkHeader link{};
    link.direction = htons(packet.direction);
    link.arphrd = htons(packet.arphrd);
    link.address_length = htons(packet.address_length);
    std::memcpy(link.address, packet.address, std::min<std::size_t>(packet.address_length, sizeof link.address));
    link.ethertype = htons(packet.ethertype);
    out = put(out, link, std::min(kept, kLinkSize));
    if (kept <= kLinkSize) return out;
    std::memcpy(out, packet.data, kept - kLinkSize);
    return out + (kept - kLinkSize);
}

}  // namespace tracedump
