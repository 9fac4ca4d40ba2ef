// Figures that threads keep for one another and for the summary. Each field has one writer; any thread may read.
#pragma once

#include <atomic>
#include <cstdint>

#include "util/clock.h"

namespace tracedump {

struct CaptureCounters {
    std::atomic<std::uint64_t> ours{0};        // handed to the writer
    std::atomic<std::uint64_t> foreign{0};     // passed the kernel's filter, but not the classifier
    std::atomic<std::uint64_t> duplicates{0};  // the application's, but recorded on another device already
    std::atomic<std::uint64_t> undecided{0};   // lost: whose they are did not become known in time
    /// Every packet with a timestamp up to here has been judged.
    std::atomic<Timestamp> judged_until{kAlways};
};

struct WriterCounters {
    std::atomic<std::uint64_t> written{0};  // packets in the file
    std::atomic<std::uint64_t> lost{0};     // packets that the file could not take
};

struct MonitorCounters {
    std::atomic<std::uint64_t> processes{0};    // traced, ever
    std::atomic<std::uint64_t> uninspected{0};  // sockets that the kernel would not let us look at
};

}  // namespace tracedump
