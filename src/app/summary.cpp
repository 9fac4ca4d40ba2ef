#include "app/summary.h"

#include <fmt/format.h>

#include <string_view>

namespace tracedump {

namespace {

std::string count(std::uint64_t n, std::string_view singular, std::string_view plural) {
    return fmt::format("{} {}", n, n == 1 ? singular : plural);
}

std::string packets(std::uint64_t n) { return count(n, "packet", "packets"); }

}  // namespace

std::string final_lines(const Totals& totals) {
    std::string text = fmt::format("{} captured\n{} received by filter\n{} dropped by kernel\n",
                                   packets(totals.captured), packets(totals.received), packets(totals.dropped));
    if (totals.unwritten != 0) text += packets(totals.unwritten) + " lost: the capture file could not take them\n";
    if (totals.undecided != 0) text += packets(totals.undecided) + " lost: their owner did not become known in time\n";
    return text + fmt::format("{}, {}, {} traced\n", count(totals.processes, "process", "processes"),
                              count(totals.sockets, "socket", "sockets"), count(totals.ports, "port", "ports"));
}

std::string progress_line(const Totals& totals) {
    return fmt::format("{} captured, {} received by filter, {} dropped by kernel, {} open", packets(totals.captured),
                       packets(totals.received), packets(totals.dropped), count(totals.living, "socket", "sockets"));
}

}  // namespace tracedump
