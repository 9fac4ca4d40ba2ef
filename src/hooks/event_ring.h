// The ring buffer in which the hooks report (Documentation/bpf/ringbuf.rst), read to its end or to where it ended when
// one began to read. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "bpf/socket_event.h"
#include "util/map_memory.h"

struct ring_buffer;

namespace tracedump {

class EventRing {
public:
    /// `map`: the ring buffer, borrowed. Throws Error.
    explicit EventRing(int map);

    using Take = std::function<void(const socket_event&)>;
    /// Hands over all events that were reported before the call, in their order, and hardly any that came later:
    /// however fast they come, this returns.
    void drain(const Take& take);

    /// Readable when a hook has asked for it to be drained.
    int fd() const;

private:
    static int on_event(void* self, void* data, std::size_t size);

    const MapMemory<std::uint64_t> consumed_, produced_;  // how far it was read, and written
    const Take* take_ = nullptr;
    std::uint64_t left_ = 0;  // bytes of it that are to be drained
    const std::unique_ptr<ring_buffer, void (*)(ring_buffer*)> ring_;
};

}  // namespace tracedump
