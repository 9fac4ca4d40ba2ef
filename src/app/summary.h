// What a capture came to, as text: tcpdump's three lines, what was lost and why, what was traced. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace tracedump {

struct Totals {
    std::uint64_t captured = 0;   // in the file
    std::uint64_t received = 0;   // passed the filter, kernel's and ours
    std::uint64_t dropped = 0;    // by the kernel, for want of room in the ring
    std::uint64_t unwritten = 0;  // the file could not take them
    std::uint64_t undecided = 0;  // whose they are did not become known
    std::uint64_t processes = 0;
    std::uint64_t sockets = 0;
    std::uint64_t ports = 0;
    std::uint64_t living = 0;  // sockets that are open now
};

/// The lines that end a capture.
std::string final_lines(const Totals& totals);

/// The line for SIGUSR1, without a newline.
std::string progress_line(const Totals& totals);

}  // namespace tracedump
