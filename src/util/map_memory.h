// The memory of a BPF map that it shares with us (BPF_F_MMAPABLE, or a ring buffer's pages). Any thread.
#pragma once

#include <sys/mman.h>

#include <cerrno>

#include "util/error.h"

namespace tracedump {

template <typename Shared>
class MapMemory {
public:
    /// `map`: its descriptor, needed for this call alone. `protection` and `offset` as in mmap(2); `what` it is, for
    /// the Error that this throws.
    MapMemory(int map, int protection, const char* what, off_t offset = 0)
        : memory_(mmap(nullptr, sizeof(Shared), protection, MAP_SHARED, map, offset)) {
        if (memory_ == MAP_FAILED) throw_errno(errno, fmt::format("mapping {}", what));
    }
    ~MapMemory() { munmap(memory_, sizeof(Shared)); }
    MapMemory(const MapMemory&) = delete;
    MapMemory& operator=(const MapMemory&) = delete;

    Shared& operator*() const { return *static_cast<Shared*>(memory_); }

private:
    void* memory_;
};

}  // namespace tracedump
