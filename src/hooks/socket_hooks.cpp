#include "hooks/socket_hooks.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <string>
#include <vector>

#include "hooks/cgroup_root.h"
#include "hooks/event_ring.h"
#include "hooks/requirements.h"
#include "socket_hooks.skel.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/libbpf.h"
#include "util/log.h"
#include "util/map_memory.h"

namespace tracedump {

namespace {

using Skeleton = std::unique_ptr<socket_hooks_bpf, decltype(&socket_hooks_bpf::destroy)>;
using Link = std::unique_ptr<bpf_link, decltype(&bpf_link__destroy)>;

CgroupRoot place_for_hooks() {
    require_place_for_hooks();
    return open_cgroup_root();
}

/// What a kernel has beyond Linux 5.14.
struct KernelHas {
    bool loops = false;               // 5.17
    bool process_everywhere = false;  // 6.10: the current one, in hooks that see packets and connections
    bool network_of_packet = false;   // 6.16
};

int load(socket_hooks_bpf& skeleton, int ports_map, std::size_t ring, const KernelHas& kernel) {
    skeleton.rodata->newer_kernel = kernel.loops;
    skeleton.rodata->newest_kernel = kernel.process_everywhere;
    skeleton.rodata->latest_kernel = kernel.network_of_packet;
    skeleton.rodata->released_patience = kNeighbourPatience;
    if (const int error = bpf_map__reuse_fd(skeleton.maps.ports, ports_map)) return error;
    if (const int error = bpf_map__set_max_entries(skeleton.maps.events, static_cast<std::uint32_t>(ring)))
        return error;
    return socket_hooks_bpf::load(&skeleton);
}

Skeleton load(int ports_map, std::size_t ring) {
    constexpr KernelHas kinds[] = {{true, true, true}, {true, true, false}, {true, false, false}, {}};
    quiet_libbpf();
    int error = 0;
    for (const KernelHas& kernel : kinds) {
        Skeleton skeleton(socket_hooks_bpf::open(), &socket_hooks_bpf::destroy);
        if (!skeleton) throw_errno(errno, "reading the hooks");
        error = load(*skeleton, ports_map, ring, kernel);
        if (error == 0) return skeleton;
        if (error == -EPERM) throw_errno(EPERM, "loading the hooks (it takes CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN)");
    }
    throw_errno(-error, "loading the hooks");
}

}  // namespace

class SocketHooks::Loaded {
public:
    Loaded(int ports_map, std::size_t ring)
        : cgroup_(place_for_hooks()),
          skeleton_(load(ports_map, ring)),
          processes_(map(skeleton_->maps.processes), PROT_READ | PROT_WRITE, "the hooks' table of processes"),
          counts_(map(skeleton_->maps.counts), PROT_READ, "the hooks' counts"),
          events_(map(skeleton_->maps.events)) {
        attach();
    }

    const std::string& cgroup() const { return cgroup_.name; }
    bool on_newer_kernel() const { return skeleton_->rodata->newer_kernel != 0; }

    std::uint8_t flags_of(pid_t process) const {
        return std::atomic_ref(byte_of(process)).load() >> flags_shift(id(process)) & PROCESS_FLAGS;
    }

    /// They become `change(flags)`. Others change those of its neighbours meanwhile.
    template <typename Change>
    void change_flags(pid_t process, Change change) {
        const std::atomic_ref byte(byte_of(process));
        const auto shift = flags_shift(id(process));
        std::uint8_t old = byte.load();
        unsigned next = 0;
        do {
            const unsigned flags = old >> shift & PROCESS_FLAGS;
            next = (old & ~(static_cast<unsigned>(PROCESS_FLAGS) << shift)) | change(flags) << shift;
        } while (!byte.compare_exchange_weak(old, static_cast<std::uint8_t>(next)));
    }

    int answers() const { return map(skeleton_->maps.answers); }
    int networks() const { return map(skeleton_->maps.networks); }
    int sockets() const { return map(skeleton_->maps.sockets); }
    hook_counts& counts() const { return *counts_; }
    EventRing& events() { return events_; }

private:
    static int map(const bpf_map* map) { return bpf_map__fd(map); }
    static std::uint32_t id(pid_t process) { return static_cast<std::uint32_t>(process) % PROCESS_IDS; }
    std::uint8_t& byte_of(pid_t process) const { return (*processes_).flags[id(process) / PROCESSES_A_BYTE]; }

    void attach() {
        bpf_program* program = nullptr;
        bpf_object__for_each_program(program, skeleton_->obj) {
            links_.emplace_back(bpf_program__attach_cgroup(program, cgroup_.folder.get()), &bpf_link__destroy);
            if (!links_.back())
                throw_errno(errno, fmt::format("attaching {} to {}", bpf_program__name(program), cgroup_.name));
        }
    }

    const CgroupRoot cgroup_;
    const Skeleton skeleton_;
    const MapMemory<process_table> processes_;
    const MapMemory<hook_counts> counts_;
    EventRing events_;
    std::vector<Link> links_;
};

SocketHooks::SocketHooks(int ports_map, std::size_t ring) : loaded_(std::make_unique<Loaded>(ports_map, ring)) {}

SocketHooks::~SocketHooks() = default;

const std::string& SocketHooks::cgroup() const { return loaded_->cgroup(); }

bool SocketHooks::tell_tcp_ends() const { return loaded_->on_newer_kernel(); }

void SocketHooks::watch(pid_t process, bool gifts) {
    loaded_->change_flags(process,
                          [gifts](unsigned) { return gifts ? PROCESS_TRACED | PROCESS_GETS_GIFTS : PROCESS_TRACED; });
}

void SocketHooks::unwatch(pid_t process) {
    loaded_->change_flags(process, [](unsigned) { return 0; });
}

bool SocketHooks::gets_gifts(pid_t process) const { return (loaded_->flags_of(process) & PROCESS_GETS_GIFTS) != 0; }

void SocketHooks::expect_gifts(pid_t process) {
    // Not one that has ended meanwhile, nor whoever has its id now.
    loaded_->change_flags(process, [](unsigned flags) { return flags != 0 ? flags | PROCESS_GETS_GIFTS : flags; });
}

void SocketHooks::answer(const HookedThread& thread) {
    const std::uint32_t place = static_cast<std::uint32_t>(thread.tid) % ANSWERS;
    bpf_map_update_elem(loaded_->answers(), &place, &thread.time, BPF_ANY);
}

void SocketHooks::capture(NetworkId network) {
    const std::uint8_t value = 1;
    bpf_map_update_elem(loaded_->networks(), &network, &value, BPF_ANY);
}

void SocketHooks::uncapture(NetworkId network) { bpf_map_delete_elem(loaded_->networks(), &network); }

bool SocketHooks::has_unused(NetworkId network) const {
    std::array<SocketCookie, 256> cookies;
    std::array<known_socket, cookies.size()> found;
    std::uint32_t place = 0;
    for (void* from = nullptr;; from = &place) {
        auto count = static_cast<std::uint32_t>(cookies.size());
        const int result =
            bpf_map_lookup_batch(loaded_->sockets(), from, &place, cookies.data(), found.data(), &count, nullptr);
        if (result != 0 && result != -ENOENT) return true;  // as far as anyone can tell
        if (std::any_of(found.begin(), found.begin() + count,
                        [&](const known_socket& socket) { return socket.network == network && socket.port == 0; }))
            return true;
        if (result != 0) return false;  // that was the last batch
    }
}

void SocketHooks::know(SocketCookie cookie, NetworkId network, std::uint16_t port) {
    known_socket socket{};
    socket.network = network;
    socket.port = port;
    bpf_map_update_elem(loaded_->sockets(), &cookie, &socket, BPF_ANY);
}

void SocketHooks::drain(const Take& take) { loaded_->events().drain(take); }

int SocketHooks::fd() const { return loaded_->events().fd(); }

std::uint64_t SocketHooks::lost() const {
    return std::atomic_ref(loaded_->counts().lost).load(std::memory_order_relaxed);
}

std::uint64_t SocketHooks::unseen() const {
    return std::atomic_ref(loaded_->counts().unseen).load(std::memory_order_relaxed);
}

}  // namespace tracedump
