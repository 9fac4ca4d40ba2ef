#include "capture/ring.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "util/background_close.h"
#include "util/error.h"

namespace tracedump {

namespace {

// What the kernel's layout promises (packet_mmap.rst) and the walk below relies on.
static_assert(TPACKET3_HDRLEN == TPACKET_ALIGN(sizeof(tpacket3_hdr)) + sizeof(sockaddr_ll));
static_assert(offsetof(tpacket_block_desc, hdr.bh1.block_status) == BlockLease::kStatusOffset);
static_assert(sizeof(tpacket_hdr_v1::block_status) == BlockLease::kStatusSize);

template <typename Value>
void set_option(int socket, int option, const Value& value, const char* what) {
    if (setsockopt(socket, SOL_PACKET, option, &value, sizeof value) != 0) throw_errno(errno, what);
}

UniqueFd open_packet_socket() {
    // Protocol 0: nothing arrives before bind() below, when the filter and the ring are in place.
    UniqueFd socket(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (socket) return socket;
    if (errno == EPERM)
        throw Error("cannot open a packet socket: capturing needs CAP_NET_RAW (run as root, or with that capability)");
    throw_errno(errno, "cannot open a packet socket");
}

void reject_everything(int socket) {
    sock_filter reject{BPF_RET | BPF_K, 0, 0, 0};
    const sock_fprog program{1, &reject};
    if (setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
        throw_errno(errno, "attaching the first packet filter");
}

void set_up_ring(int socket, std::size_t block_count) {
    set_option(socket, PACKET_VERSION, int{TPACKET_V3}, "asking the packet socket for TPACKET_V3");
    tpacket_req3 request{};
    request.tp_block_size = PacketRing::kBlockSize;
    request.tp_block_nr = static_cast<unsigned>(block_count);
    request.tp_frame_size = TPACKET_ALIGNMENT << 7;  // V3 packs by length; it only has to divide the block
    request.tp_frame_nr = request.tp_block_size / request.tp_frame_size * request.tp_block_nr;
    request.tp_retire_blk_tov = PacketRing::kRetireMillis;
    set_option(socket, PACKET_RX_RING, request, "setting up the capture ring (is --buffer-size too large?)");
}

void bind_to_all_interfaces(int socket) {
    sockaddr_ll all{};
    all.sll_family = AF_PACKET;
    all.sll_protocol = htons(ETH_P_ALL);  // ETH_P_IP would not show what we send
    if (bind(socket, reinterpret_cast<const sockaddr*>(&all), sizeof all) != 0)
        throw_errno(errno, "binding the packet socket to all interfaces");
}

// Our own mark in a block's status: taken, and with the writer. When all blocks are, the walk meets its first one
// again, still the user's. The kernel looks at TP_STATUS_USER alone (net/packet/af_packet.c, prb_curr_blk_in_use).
constexpr std::uint32_t kTaken = 1U << 28;

std::uint32_t& status_of(std::uint8_t* block) {
    return reinterpret_cast<tpacket_block_desc*>(block)->hdr.bh1.block_status;
}

}  // namespace

RingBlock::RingBlock(std::uint8_t* memory) : memory_(memory) {}

const tpacket_hdr_v1& RingBlock::header() const {
    return reinterpret_cast<const tpacket_block_desc*>(memory_)->hdr.bh1;
}

std::uint32_t RingBlock::packet_count() const { return header().num_pkts; }

bool RingBlock::is_full() const { return (header().block_status & TP_STATUS_BLK_TMO) == 0; }

BlockLease RingBlock::lease(std::shared_ptr<const PacketRing> ring) {
    return {std::move(ring), {memory_, PacketRing::kBlockSize}, TP_STATUS_KERNEL};
}

PacketRef RingBlock::packet_at(const std::uint8_t* memory) {
    const auto& header = *reinterpret_cast<const tpacket3_hdr*>(memory);
    const auto& link = *reinterpret_cast<const sockaddr_ll*>(memory + TPACKET_ALIGN(sizeof(tpacket3_hdr)));
    PacketRef packet;
    packet.data = memory + header.tp_net;
    packet.captured_length = header.tp_snaplen;
    packet.original_length = header.tp_len;
    packet.time = static_cast<Timestamp>(header.tp_sec) * kNanosPerSecond + header.tp_nsec;
    packet.ethertype = ntohs(link.sll_protocol);
    packet.arphrd = link.sll_hatype;
    packet.device = static_cast<std::uint32_t>(link.sll_ifindex);
    packet.direction = link.sll_pkttype;
    packet.address_length = link.sll_halen;
    packet.address = link.sll_addr;
    return packet;
}

PacketRing::PacketRing(std::size_t mebibytes) : socket_(open_packet_socket()), block_count_(blocks_in(mebibytes)) {
    reject_everything(socket_.get());
    set_up_ring(socket_.get(), block_count_);
    void* memory = mmap(nullptr, block_count_ * kBlockSize, PROT_READ | PROT_WRITE, MAP_SHARED, socket_.get(), 0);
    if (memory == MAP_FAILED) throw_errno(errno, "mapping the capture ring");
    memory_ = static_cast<std::uint8_t*>(memory);
    bind_to_all_interfaces(socket_.get());
}

PacketRing::~PacketRing() {
    munmap(memory_, block_count_ * kBlockSize);
    // Which waits for two RCU grace periods and frees the ring: 25 ms (packet_release in net/packet/af_packet.c).
    close_in_background(std::move(socket_));
}

bool PacketRing::block_ready() const {
    // acquire: the kernel wrote the block before it wrote this status.
    const auto status = std::atomic_ref(status_of(memory_ + next_ * kBlockSize)).load(std::memory_order_acquire);
    return (status & TP_STATUS_USER) != 0 && (status & kTaken) == 0;
}

std::optional<RingBlock> PacketRing::next_block() {
    if (!block_ready()) return std::nullopt;
    std::uint8_t* block = memory_ + next_ * kBlockSize;
    std::atomic_ref(status_of(block)).fetch_or(kTaken, std::memory_order_relaxed);
    next_ = (next_ + 1) % block_count_;
    return RingBlock(block);
}

PacketRing::Statistics PacketRing::statistics() {
    std::lock_guard lock(statistics_mutex_);
    tpacket_stats_v3 recent{};
    socklen_t length = sizeof recent;
    if (getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &recent, &length) == 0) {
        statistics_.received += recent.tp_packets;
        statistics_.dropped += recent.tp_drops;
    }
    return statistics_;
}

}  // namespace tracedump
