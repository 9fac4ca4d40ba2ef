// A block as the kernel fills it (TPACKET_V3), so far as the writer sees it: packets behind headers of the kernel's,
// and what was there before in between.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "dump.h"

namespace tracedump::test {

class RingBlock {
public:
    static constexpr std::size_t kSize = 256 << 10;
    static constexpr std::uint8_t kStale = 0xee;  // what was there before
    static constexpr std::uint32_t kOut = 0x10000001, kGivenBack = 0;

    /// Blocks that lie one after the other.
    static std::vector<RingBlock> in_a_row(std::size_t count) {
        std::shared_ptr<std::uint8_t> memory(new (std::align_val_t{4096}) std::uint8_t[count * kSize],
                                             [](std::uint8_t* p) { ::operator delete[](p, std::align_val_t{4096}); });
        std::vector<RingBlock> blocks;
        for (std::size_t i = 0; i < count; ++i) blocks.push_back(RingBlock({memory, memory.get() + i * kSize}));
        return blocks;
    }

    RingBlock() : RingBlock(in_a_row(1).front()) {}

    /// Whether there is room for such a packet.
    bool has_room(std::size_t size) const { return next_ + kHeaders + size <= kSize; }

    void add(std::size_t size, std::uint8_t value) {
        std::uint8_t* const data = memory_.get() + next_ + kHeaders;
        std::memset(data, value, size);
        std::memcpy(data - kAddress, kMac, sizeof kMac);
        PacketRef packet = packet_of({});
        packet.data = data;
        packet.captured_length = packet.original_length = static_cast<std::uint32_t>(size);
        packet.time += static_cast<Timestamp>(packets.size());
        packet.address = data - kAddress;
        packets.push_back(packet);
        next_ += (kHeaders + size + 7) / 8 * 8;
    }

    void fill(std::size_t size, std::uint8_t value) {
        while (has_room(size)) add(size, value);
    }

    /// All of its packets. A full one is followed by others.
    PacketBatch batch(bool full = false) const {
        return {packets, {}, BlockLease(nullptr, {memory_.get(), kSize}, kGivenBack), full};
    }

    std::uint32_t status() const {
        std::uint32_t status = 0;
        std::memcpy(&status, memory_.get() + BlockLease::kStatusOffset, sizeof status);
        return status;
    }

    Bytes bytes() const { return {memory_.get(), memory_.get() + kSize}; }
    const std::uint8_t* begin() const { return memory_.get(); }

    std::vector<PacketRef> packets;

private:
    static constexpr std::size_t kHeaders = 96;  // tpacket3_hdr, sockaddr_ll, and 16 bytes for a link header
    static constexpr std::size_t kAddress = 36;  // before the packet

    explicit RingBlock(std::shared_ptr<std::uint8_t> memory) : memory_(std::move(memory)) {
        std::memset(memory_.get(), kStale, kSize);
        std::memcpy(memory_.get() + BlockLease::kStatusOffset, &kOut, sizeof kOut);
    }

    std::shared_ptr<std::uint8_t> memory_;
    std::size_t next_ = 48;  // behind the block's own header
};

}  // namespace tracedump::test
