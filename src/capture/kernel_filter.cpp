#include "capture/kernel_filter.h"

#include <sys/socket.h>

#include <cerrno>

#include "util/error.h"
#include "util/log.h"

namespace tracedump {

namespace {
// Ports of dead sockets that a filter in force may still accept before it is compiled anew: their packets cost the
// capture thread a look each, a new filter costs the tracee's next connect some ten microseconds.
constexpr std::uint32_t kSlackPorts = 64;
constexpr std::size_t kSlackRemotes = 16;
constexpr std::size_t kSmallestProgram = 256;
}  // namespace

void KernelFilter::update(const PortSet& set) {
    FilterSpec wanted = FilterSpec::of(set);
    const bool slack_is_small = in_force_.port_count() <= 2 * wanted.port_count() + kSlackPorts &&
                                in_force_.remotes.size() <= wanted.remotes.size() + kSlackRemotes;
    if (slack_is_small && in_force_.covers(wanted)) return;

    for (;;) {
        FilterProgram program = compile_filter(wanted, snaplen_, max_instructions_);
        const sock_fprog attachable{static_cast<unsigned short>(program.instructions.size()),
                                    program.instructions.data()};
        if (setsockopt(socket_, SOL_SOCKET, SO_ATTACH_FILTER, &attachable, sizeof attachable) == 0) {
            log_engine("filter: {} instructions, {} port ranges, {} pending remotes", attachable.len,
                       program.spec.ports.size(), program.spec.remotes.size());
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
