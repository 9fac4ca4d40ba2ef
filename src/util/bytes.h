// Structures into bytes, as they lie in memory. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tracedump {

/// Writes the first `size` bytes of `part` and returns where they end.
template <typename Part>
std::uint8_t* put(std::uint8_t* out, const Part& part, std::size_t size = sizeof(Part)) {
    std::memcpy(out, &part, size);
    return out + size;
}

}  // namespace tracedump
