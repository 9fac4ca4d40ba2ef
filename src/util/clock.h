// Time as the kernel stamps packets: nanoseconds of CLOCK_REALTIME since the epoch. Any thread.
#pragma once

#include <ctime>

#include <cstdint>
#include <limits>

namespace tracedump {

using Timestamp = std::int64_t;  // ns since the epoch, CLOCK_REALTIME (packet(7): tp_sec, tp_nsec)

inline constexpr Timestamp kNever = std::numeric_limits<Timestamp>::max();
inline constexpr Timestamp kAlways = std::numeric_limits<Timestamp>::min();
inline constexpr Timestamp kNanosPerSecond = 1'000'000'000;
inline constexpr Timestamp kNanosPerMilli = 1'000'000;

inline Timestamp from_timespec(const timespec& t) {
    return static_cast<Timestamp>(t.tv_sec) * kNanosPerSecond + t.tv_nsec;
}

inline Timestamp realtime_now() {
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    return from_timespec(t);
}

}  // namespace tracedump
