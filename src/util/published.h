// A value that one side replaces as a whole and the other side reads at full speed: the port set's snapshot.
// store() and load() from any thread. A reader keeps a Reader, which asks one atomic counter whether there is
// anything new and takes the lock only then. (std::atomic<std::shared_ptr> of g++ 12 would do the same with a spin
// lock that ThreadSanitizer rightly objects to.)
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

namespace tracedump {

template <typename T>
class Published {
public:
    using Pointer = std::shared_ptr<const T>;

    explicit Published(Pointer value) : value_(std::move(value)) {}

    void store(Pointer value) {
        {
            std::lock_guard lock(mutex_);
            value_.swap(value);
            // release: whoever sees the new number sees everything that happened before this store.
            generation_.fetch_add(1, std::memory_order_release);
        }
        changed_.notify_all();
    }

    Pointer load() const {
        std::lock_guard lock(mutex_);
        return value_;
    }

    std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

    /// Waits until the generation differs from `seen`; false when `timeout` passed first.
    bool wait_newer(std::uint64_t seen, std::chrono::microseconds timeout) const {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, timeout, [&] { return generation_.load(std::memory_order_relaxed) != seen; });
    }

    /// One thread's view: cheap to ask for every packet.
    class Reader {
    public:
        explicit Reader(const Published& source) : source_(source) { refresh(); }

        const T& get() {
            if (source_.generation() != generation_) refresh();
            return *value_;
        }
        std::uint64_t generation() const { return generation_; }

    private:
        void refresh() {
            std::lock_guard lock(source_.mutex_);
            generation_ = source_.generation_.load(std::memory_order_relaxed);
            value_ = source_.value_;
        }

        const Published& source_;
        std::uint64_t generation_ = 0;
        Pointer value_;
    };

private:
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::atomic<std::uint64_t> generation_{1};
    Pointer value_;  // guarded by mutex_
};

}  // namespace tracedump
