#include "capture/classic_filter.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "util/error.h"
#include "util/log.h"

namespace tracedump {

namespace {

// Dead sockets that a filter in force may still accept the packets of: each packet of a stranger that gets one of
// their ports costs the capture thread a look.
constexpr std::uint32_t kSlackPorts = 64;
constexpr std::size_t kSlackRemotes = 16;
constexpr std::chrono::seconds kTidyInterval{1};

constexpr std::size_t kSmallestProgram = 256;

}  // namespace

bool ClassicFilter::still_covers(const PortSet& set) const {
    bool covered = std::all_of(set.pending().begin(), set.pending().end(),
                               [&](const PendingRemote& pending) { return in_force_.covers(pending.remote); });
    set.for_each_port_changed_since(covered_, [&](std::uint16_t port, std::span<const Claim> claims) {
        covered = covered && in_force_.covers(port, claims);
    });
    return covered;
}

bool ClassicFilter::is_too_wide(const FilterSpec& wanted) const {
    return in_force_.port_count() > 2 * wanted.port_count() + kSlackPorts ||
           in_force_.remotes.size() > wanted.remotes.size() + kSlackRemotes;
}

void ClassicFilter::enforce(const PortSet& set) {
    const bool covered = still_covers(set);
    covered_ = set;
    const auto now = std::chrono::steady_clock::now();
    if (covered && now < next_tidy_) return;
    next_tidy_ = now + kTidyInterval;
    const FilterSpec wanted = FilterSpec::of(set);
    if (!covered || is_too_wide(wanted)) attach(wanted);
}

void ClassicFilter::attach(const FilterSpec& wanted) {
    for (;;) {
        FilterProgram program = compile_filter(wanted, snaplen_, max_instructions_, icmp_errors_);
        const sock_fprog attachable{static_cast<unsigned short>(program.instructions.size()),
                                    program.instructions.data()};
        if (setsockopt(socket_, SOL_SOCKET, SO_ATTACH_FILTER, &attachable, sizeof attachable) == 0) {
            log_engine("filter: {} instructions, {} port ranges, {} remotes", attachable.len, program.spec.ports.size(),
                       program.spec.remotes.size());
            in_force_ = std::move(program.spec);
            return;
        }
        const int error = errno;
        // net.core.optmem_max bounds what a socket may hold, old and new program together; it was 20 KiB until 6.5.
        if (error != ENOMEM || program.instructions.size() <= kSmallestProgram)
            throw_errno(error, fmt::format("attaching a packet filter of {} instructions", attachable.len));
        max_instructions_ = std::max(kSmallestProgram, program.instructions.size() / 2);
    }
}

}  // namespace tracedump
