#include "capture/ebpf_filter.h"

#include <bpf/libbpf.h>
#include <sys/socket.h>

#include <cerrno>

#include "packet_filter.skel.h"
#include "util/error.h"
#include "util/libbpf.h"
#include "util/map_memory.h"

namespace tracedump {

namespace {

using Skeleton = std::unique_ptr<packet_filter_bpf, decltype(&packet_filter_bpf::destroy)>;

Skeleton load(std::uint32_t snaplen, bool icmp_errors) {
    quiet_libbpf();
    const MemlockLimitKept kept;
    Skeleton skeleton(packet_filter_bpf::open(), &packet_filter_bpf::destroy);
    if (!skeleton) throw_errno(errno, "reading the eBPF packet filter");
    skeleton->rodata->snaplen = snaplen;
    skeleton->rodata->icmp_errors = icmp_errors;
    if (const int error = packet_filter_bpf::load(skeleton.get()))
        throw_errno(-error, error == -EPERM ? "loading the eBPF packet filter (it takes CAP_BPF and CAP_PERFMON)"
                                            : "loading the eBPF packet filter");
    return skeleton;
}

}  // namespace

/// Shared by the engine and what it has put on sockets.
class EbpfFilter::Loaded {
public:
    Loaded(std::uint32_t snaplen, bool icmp_errors)
        : skeleton_(load(snaplen, icmp_errors)),
          memory_(map(), PROT_READ | PROT_WRITE, "the packet filter's table of ports"),
          ports_(*memory_) {}

    int program() const { return bpf_program__fd(skeleton_->progs.filter_packet); }
    int map() const { return bpf_map__fd(skeleton_->maps.ports); }
    PortTable& ports() { return ports_; }

private:
    const Skeleton skeleton_;
    const MapMemory<port_table> memory_;
    PortTable ports_;
};

EbpfFilter::EbpfFilter(std::uint32_t snaplen, bool icmp_errors)
    : loaded_(std::make_shared<Loaded>(snaplen, icmp_errors)) {}

EbpfFilter::~EbpfFilter() = default;

std::shared_ptr<PortFilter> EbpfFilter::put_on(int packet_socket) {
    const int program = loaded_->program();
    if (setsockopt(packet_socket, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program) != 0)
        throw_errno(errno, "attaching the eBPF packet filter");
    return {loaded_, &loaded_->ports()};
}

PortTable& EbpfFilter::ports() { return loaded_->ports(); }

int EbpfFilter::program() const { return loaded_->program(); }

int EbpfFilter::ports_map() const { return loaded_->map(); }

}  // namespace tracedump
