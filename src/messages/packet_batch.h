// What flows from capture to writer: packets that still lie in the ring. The batch owns its ring block: when the
// writer lets go of it, the block goes back to the kernel. The queue holds as many messages as a ring has blocks.
#pragma once

#include <oneapi/tbb/concurrent_queue.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "util/clock.h"

namespace tracedump {

inline constexpr std::size_t kLinkAddressSize = 8;  // sockaddr_ll's sll_addr

/// One packet, as the ring holds it. `data` begins at the network header and is valid while its batch lives.
struct PacketRef {
    const std::uint8_t* data = nullptr;
    std::uint32_t captured_length = 0;  // bytes at `data`
    std::uint32_t original_length = 0;  // bytes on the wire, from the network header on
    Timestamp time = 0;
    // The rest is sockaddr_ll's (packet(7)), all in host byte order but the address.
    std::uint16_t ethertype = 0;
    std::uint16_t arphrd = 0;
    std::uint32_t device = 0;    // interface index
    std::uint8_t direction = 0;  // PACKET_HOST ... PACKET_OUTGOING
    std::uint8_t address_length = 0;
    const std::uint8_t* address = nullptr;  // kLinkAddressSize bytes, the first address_length of them meant
};

/// A packet that outlives its ring block: a copy of its bytes, and a reference to them. Moving it keeps the reference.
class HeldPacket {
public:
    explicit HeldPacket(const PacketRef& packet)
        : bytes_(packet.data, packet.data + packet.captured_length), ref_(packet) {
        bytes_.insert(bytes_.end(), packet.address, packet.address + kLinkAddressSize);
        ref_.data = bytes_.data();
        ref_.address = bytes_.data() + packet.captured_length;
    }
    HeldPacket(HeldPacket&&) = default;
    HeldPacket& operator=(HeldPacket&&) = default;

    const PacketRef& ref() const { return ref_; }
    std::size_t size() const { return bytes_.size(); }

private:
    std::vector<std::uint8_t> bytes_;  // the packet, then the link address
    PacketRef ref_;
};

/// Gives a ring block back to the kernel when it goes out of scope, and keeps the ring until then. Moved, never copied.
class BlockLease {
public:
    BlockLease() = default;
    BlockLease(std::shared_ptr<const void> ring, std::span<std::uint8_t> block, std::uint32_t given_back)
        : ring_(std::move(ring)), memory_(block), given_back_(given_back) {}
    BlockLease(BlockLease&& other) noexcept
        : ring_(std::move(other.ring_)), memory_(std::exchange(other.memory_, {})), given_back_(other.given_back_) {}
    BlockLease& operator=(BlockLease&& other) noexcept {
        if (this != &other) {
            give_back();
            ring_ = std::move(other.ring_);
            memory_ = std::exchange(other.memory_, {});
            given_back_ = other.given_back_;
        }
        return *this;
    }
    ~BlockLease() { give_back(); }

    void give_back() {
        // release: our last reads and writes of the block happen before the kernel may write to it again.
        if (!memory_.empty()) {
            auto* status = reinterpret_cast<std::uint32_t*>(memory_.data() + kStatusOffset);
            std::atomic_ref(*status).store(given_back_, std::memory_order_release);
        }
        memory_ = {};
        ring_.reset();
    }

    /// The whole block, which its holder may overwrite but for its status (tpacket_block_desc).
    std::span<std::uint8_t> memory() const { return memory_; }
    static constexpr std::size_t kStatusOffset = 8, kStatusSize = 4;

private:
    std::shared_ptr<const void> ring_;
    std::span<std::uint8_t> memory_;  // in the ring
    std::uint32_t given_back_ = 0;
};

struct PacketBatch {
    std::vector<PacketRef> packets;
    std::vector<HeldPacket> held;  // what some of `packets` refer to, instead of the block
    BlockLease block;
    bool more_follows = false;  // at once: another batch, or Lull
};

/// What was to follow at once does not.
struct Lull {};

/// No more batches: write what is left and end. The figures are those of the whole capture.
struct StopWriting {
    std::uint64_t received = 0;  // by the kernel's filter
    std::uint64_t dropped = 0;   // of those, for want of room in the ring
    Timestamp ended = 0;         // when the last of them was judged
};

using WriterMessage = std::variant<PacketBatch, Lull, StopWriting>;
using WriterQueue = oneapi::tbb::concurrent_bounded_queue<WriterMessage, std::allocator<WriterMessage>>;  // as Mailbox

}  // namespace tracedump
