#include "gc/port_condition.h"

#include <linux/inet_diag.h>

#include <algorithm>
#include <cstring>

namespace tracedump {

namespace {

struct Range {
    std::uint16_t first;
    std::uint16_t last;
};

/// At most kMaxPortRanges, parted by the largest gaps.
std::vector<Range> ranges_of(std::span<const std::uint16_t> ports) {
    std::vector<int> gaps;
    for (std::size_t i = 1; i < ports.size(); ++i) gaps.push_back(ports[i] - ports[i - 1]);
    int smallest_gap = 2;
    if (gaps.size() >= kMaxPortRanges) {
        const auto nth = gaps.begin() + static_cast<std::ptrdiff_t>(kMaxPortRanges - 1);
        std::nth_element(gaps.begin(), nth, gaps.end(), std::greater<>());
        smallest_gap = std::max(smallest_gap, *nth + 1);
    }
    std::vector<Range> ranges;
    for (const std::uint16_t port : ports) {
        if (!ranges.empty() && port - ranges.back().last < smallest_gap)
            ranges.back().last = port;
        else
            ranges.push_back({port, port});
    }
    return ranges;
}

/// A tree of comparisons. An operation that holds goes on with the next one, else it jumps ahead; a program accepts by
/// jumping to its end, and rejects by jumping beyond.
class Assembler {
public:
    explicit Assembler(std::span<const Range> ranges) {
        put_tree(ranges);
        for (const std::size_t at : accepts_) set_jump(at, code_.size());
        for (const std::size_t at : rejects_) set_jump(at, code_.size() + sizeof(inet_diag_bc_op));
    }

    std::vector<std::uint8_t> take() { return std::move(code_); }

private:
    void put_tree(std::span<const Range> ranges) {
        if (ranges.size() == 1) {
            rejects_.push_back(put_comparison(INET_DIAG_BC_S_GE, ranges[0].first));
            rejects_.push_back(put_comparison(INET_DIAG_BC_S_LE, ranges[0].last));
            accepts_.push_back(put(INET_DIAG_BC_JMP, sizeof(inet_diag_bc_op), 0));
            return;
        }
        const std::size_t half = ranges.size() / 2;
        const std::size_t is_upper = put_comparison(INET_DIAG_BC_S_GE, ranges[half].first);
        put_tree(ranges.subspan(half));
        set_jump(is_upper, code_.size());
        put_tree(ranges.first(half));
    }

    /// The port is the jump distance of an operation that follows and is never run.
    std::size_t put_comparison(unsigned char code, std::uint16_t port) {
        const std::size_t at = put(code, 2 * sizeof(inet_diag_bc_op), 0);
        put(INET_DIAG_BC_NOP, 0, port);
        return at;
    }

    /// Returns where it is. `size` is that of the operation: the way to the next.
    std::size_t put(unsigned char code, std::size_t size, std::uint16_t no) {
        const inet_diag_bc_op op{code, static_cast<unsigned char>(size), no};
        const std::size_t at = code_.size();
        code_.resize(at + sizeof op);
        std::memcpy(code_.data() + at, &op, sizeof op);
        return at;
    }

    void set_jump(std::size_t from, std::size_t to) {
        const auto distance = static_cast<std::uint16_t>(to - from);
        std::memcpy(code_.data() + from + offsetof(inet_diag_bc_op, no), &distance, sizeof distance);
    }

    std::vector<std::uint8_t> code_;
    std::vector<std::size_t> accepts_;
    std::vector<std::size_t> rejects_;
};

}  // namespace

std::vector<std::uint8_t> port_condition(std::span<const std::uint16_t> ports) {
    return Assembler(ranges_of(ports)).take();
}

}  // namespace tracedump
