// The PACKET_MMAP ring (TPACKET_V3) on all interfaces: set up, mapped, and its blocks walked in order.
// Opened by the session; next_block() is the capture thread's alone, blocks are given back through
// their lease from any thread. Linux Documentation/networking/packet_mmap.rst, packet(7).
#pragma once

#include <linux/if_packet.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>

#include "messages/packet_batch.h"
#include "util/fd.h"

namespace tracedump {

class PacketRing;

/// A block that the kernel has handed over.
class RingBlock {
public:
    RingBlock(std::uint8_t* memory);

    /// Calls visit(PacketRef) for each packet, in the order of arrival. What it points to lives as long as the lease.
    template <typename Visit>
    void for_each_packet(Visit visit) const;

    std::uint32_t packet_count() const;
    /// Else its time was up.
    bool is_full() const;

    /// The right to give the block back to the `ring` it is of; take it once.
    BlockLease lease(std::shared_ptr<const PacketRing> ring);

private:
    const tpacket_hdr_v1& header() const;
    static PacketRef packet_at(const std::uint8_t* memory);

    // The headers of a packet that the kernel has just written are in another CPU's cache. If those that follow are of
    // this one's size, as in a bulk transfer, then this is where the headers of a later one are.
    static constexpr std::uint32_t kPacketsAhead = 4;
    static void prefetch_headers(const std::uint8_t* memory) {
        for (std::size_t line = 0; line < 3; ++line) __builtin_prefetch(memory + line * 64);
    }

    std::uint8_t* memory_;
};

class PacketRing {
public:
    // Holds a packet of the sizes that BIG TCP is used with. When its time is up a block is handed over as it is, so
    // that on the average half a block is lost in that time: smaller ones make more of the ring.
    static constexpr std::size_t kBlockSize = 256 << 10;  // bytes
    static constexpr unsigned kRetireMillis = 12;         // a block with packets in it waits no longer than about this

    /// A socket whose filter rejects everything and a mapped ring of `mebibytes`, bound to all interfaces of the
    /// network namespace that the calling thread is in.
    /// Throws Error: no CAP_NET_RAW, no memory, no PACKET_MMAP.
    explicit PacketRing(std::size_t mebibytes);
    ~PacketRing();
    PacketRing(const PacketRing&) = delete;
    PacketRing& operator=(const PacketRing&) = delete;

    int socket() const { return socket_.get(); }
    static constexpr std::size_t blocks_in(std::size_t mebibytes) { return mebibytes * (1 << 20) / kBlockSize; }

    /// Whether next_block() has one: the kernel is done with it, and it is not out on a lease.
    bool block_ready() const;

    std::optional<RingBlock> next_block();

    struct Statistics {
        std::uint64_t received = 0;  // passed the kernel's filter, the dropped included
        std::uint64_t dropped = 0;   // of those, for want of room in the ring
    };
    /// Since the beginning, if somebody looks now and then: the kernel's counters start again at each look, and after
    /// 2^32. Any thread.
    Statistics statistics();

private:
    UniqueFd socket_;
    std::uint8_t* memory_ = nullptr;
    std::size_t block_count_;
    std::size_t next_ = 0;

    std::mutex statistics_mutex_;
    Statistics statistics_;  // guarded by statistics_mutex_
};

template <typename Visit>
void RingBlock::for_each_packet(Visit visit) const {
    const std::uint8_t* at = memory_ + header().offset_to_first_pkt;
    for (std::uint32_t i = 0; i < header().num_pkts; ++i) {
        const std::uint32_t size = reinterpret_cast<const tpacket3_hdr*>(at)->tp_next_offset;
        prefetch_headers(at + kPacketsAhead * size);
        visit(packet_at(at));
        at += size;
    }
}

}  // namespace tracedump
