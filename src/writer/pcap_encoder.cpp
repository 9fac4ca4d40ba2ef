#include "writer/pcap_encoder.h"

#include "util/bytes.h"
#include "writer/link_header.h"

namespace tracedump {

namespace {

struct FileHeader {
    std::uint32_t magic = 0xa1b2c3d4;  // microseconds
    std::uint16_t version_major = 2;
    std::uint16_t version_minor = 4;
    std::int32_t time_zone = 0;
    std::uint32_t accuracy = 0;
    std::uint32_t snaplen = 0;
    std::uint32_t link_type = kLinkType;
};
static_assert(sizeof(FileHeader) == PcapEncoder::kFileHeaderSize);

struct RecordHeader {
    std::uint32_t seconds;
    std::uint32_t microseconds;
    std::uint32_t captured_length;
    std::uint32_t original_length;
};
static_assert(sizeof(RecordHeader) == PcapEncoder::kRecordHeaderSize);

}  // namespace

std::uint8_t* PcapEncoder::put_file_header(std::uint8_t* out) const {
    FileHeader header;
    header.snaplen = snaplen_;
    return put(out, header);
}

std::uint8_t* PcapEncoder::put_record(std::uint8_t* out, const PacketRef& packet) const {
    const std::uint32_t kept = kept_of(packet, snaplen_);
    RecordHeader record{};
    record.seconds = static_cast<std::uint32_t>(packet.time / kNanosPerSecond);
    record.microseconds = static_cast<std::uint32_t>(packet.time % kNanosPerSecond / 1000);
    record.captured_length = kept;
    record.original_length = packet.original_length + kLinkHeaderSize;
    return put_packet(put(out, record), packet, kept);
}

}  // namespace tracedump
