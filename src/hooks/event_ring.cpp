#include "hooks/event_ring.h"

#include <bpf/libbpf.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "util/error.h"

namespace tracedump {

namespace {

constexpr int kEnough = -ECANCELED;

/// acquire: what was written before that.
std::uint64_t position(const MapMemory<std::uint64_t>& memory) {
    return std::atomic_ref(*memory).load(std::memory_order_acquire);
}

}  // namespace

EventRing::EventRing(int map)
    : consumed_(map, PROT_READ, "the hooks' ring buffer"),
      produced_(map, PROT_READ, "the hooks' ring buffer", sysconf(_SC_PAGESIZE)),
      ring_(ring_buffer__new(map, on_event, this, nullptr), ring_buffer__free) {
    if (!ring_) throw_errno(errno, "reading the hooks' ring buffer");
}

void EventRing::drain(const Take& take) {
    const auto target = position(produced_);
    take_ = &take;
    for (auto from = position(consumed_); from < target; from = position(consumed_)) {
        left_ = target - from;
        const int taken = ring_buffer__consume(ring_.get());
        if (taken == 0) sched_yield();  // a hook on another CPU is just writing the next
        if (taken < 0 && taken != kEnough) break;
    }
    take_ = nullptr;
}

/// libbpf would go on for as long as there are events.
int EventRing::on_event(void* context, void* data, std::size_t size) {
    auto& self = *static_cast<EventRing*>(context);
    if (size >= sizeof(socket_event)) (*self.take_)(*static_cast<const socket_event*>(data));
    const std::uint64_t in_ring = (size + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
    self.left_ -= std::min(self.left_, in_ring);
    return self.left_ == 0 ? kEnough : 0;
}

int EventRing::fd() const { return ring_buffer__epoll_fd(ring_.get()); }

}  // namespace tracedump
