// A oneTBB queue whose bell is a real-time signal: messages for a thread that waits for signals anyhow, in
// sigtimedwait(2), as for SIGCHLD. Any thread posts; one thread owns the other end.
//
// Not signalfd(2), whose readers are woken by every signal of the process, SIGCHLD at each stop of a tracee included
// (signalfd_notify in include/linux/signalfd.h).
#pragma once

#include <oneapi/tbb/concurrent_queue.h>
#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <optional>
#include <utility>

namespace tracedump {

/// `kBell` counts from SIGRTMIN; a number for each mailbox of the process.
template <typename Message, int kBell>
class SignalMailbox {
public:
    /// The bell must be blocked wherever it is not waited for: it is here, and in threads that are made afterwards.
    SignalMailbox() {
        sigset_t bell;
        sigemptyset(&bell);
        sigaddset(&bell, bell_signal());
        pthread_sigmask(SIG_BLOCK, &bell, nullptr);
    }

    static int bell_signal() { return SIGRTMIN + kBell; }

    void post(Message message) {
        queue_.push(std::move(message));
        kill(getpid(), bell_signal());
    }

    /// The next message, or nothing. Owner only: when the bell has rung, until it is empty.
    std::optional<Message> take() {
        Message message;
        if (!queue_.try_pop(message)) return std::nullopt;
        return message;
    }

private:
    oneapi::tbb::concurrent_queue<Message, std::allocator<Message>> queue_;  // as in Mailbox
};

}  // namespace tracedump
