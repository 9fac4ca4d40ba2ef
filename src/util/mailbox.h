// A oneTBB queue with a bell: messages for a thread that must also wait for the kernel (a socket, signals). Any
// thread posts; one thread owns the other end, polls bell() together with its descriptors, and takes.
#pragma once

#include <oneapi/tbb/concurrent_queue.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "util/error.h"
#include "util/fd.h"

namespace tracedump {

template <typename Message>
class Mailbox {
public:
    Mailbox() : bell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        if (!bell_) throw_errno(errno, "creating an eventfd");
    }

    void post(Message message) {
        queue_.push(std::move(message));
        const std::uint64_t one = 1;
        // Fails only when the counter is full, and then the bell is ringing already (eventfd(2)).
        [[maybe_unused]] const auto n = ::write(bell_.get(), &one, sizeof one);
    }

    /// Readable while there may be messages. Owner only.
    int bell() const { return bell_.get(); }

    /// The next message, or nothing. Owner only: silence() first, then take() until it is empty.
    std::optional<Message> take() {
        Message message;
        if (!queue_.try_pop(message)) return std::nullopt;
        return message;
    }

    void silence() {
        std::uint64_t rung = 0;
        [[maybe_unused]] const auto n = ::read(bell_.get(), &rung, sizeof rung);
    }

private:
    // Pages from std::allocator, which ThreadSanitizer knows, as it does not know oneTBB's own.
    oneapi::tbb::concurrent_queue<Message, std::allocator<Message>> queue_;
    UniqueFd bell_;
};

}  // namespace tracedump
