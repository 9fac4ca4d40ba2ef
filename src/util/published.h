// A value that one side changes and the other side reads at full speed, as snapshots: the port set. A snapshot is made
// when somebody looks after a change, not at each change: a burst of changes between two looks costs one copy.
// A reader keeps a Reader, which asks one atomic counter whether there is anything new and only then takes the lock,
// and waits for the change that may be under way.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace tracedump {

template <typename T>
class Published {
public:
    using Pointer = std::shared_ptr<const T>;

    /// `value` is the owner's, who changes it under `mutex` alone. Both outlive this.
    Published(std::mutex& mutex, const T& value) : mutex_(mutex), value_(value) {}

    /// From now on readers see what has been changed. Under the mutex.
    void publish() {
        // release: whoever sees the new number sees everything that happened before it.
        generation_.fetch_add(1, std::memory_order_release);
        changed_.notify_all();
    }

    /// The newest snapshot. Any thread.
    Pointer load() const {
        std::lock_guard lock(mutex_);
        return load_locked();
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
            Pointer old;  // goes when the lock does not hold up anybody any more
            std::lock_guard lock(source_.mutex_);
            generation_ = source_.generation_.load(std::memory_order_relaxed);
            old = std::exchange(value_, source_.load_locked());
        }

        const Published& source_;
        std::uint64_t generation_ = 0;
        Pointer value_;
    };

private:
    Pointer load_locked() const {
        const auto generation = generation_.load(std::memory_order_relaxed);
        if (copied_ != generation) {
            copy_ = std::make_shared<const T>(value_);
            copied_ = generation;
        }
        return copy_;
    }

    std::mutex& mutex_;
    const T& value_;
    mutable std::condition_variable changed_;
    std::atomic<std::uint64_t> generation_{1};
    mutable Pointer copy_ = std::make_shared<const T>(value_);  // as of generation copied_; guarded by mutex_
    mutable std::uint64_t copied_ = 1;
};

}  // namespace tracedump
