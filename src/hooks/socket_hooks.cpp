#include "hooks/socket_hooks.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "hooks/cgroup_root.h"
#include "socket_hooks.skel.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/libbpf.h"
#include "util/log.h"

namespace tracedump {

namespace {

using Skeleton = std::unique_ptr<socket_hooks_bpf, decltype(&socket_hooks_bpf::destroy)>;
using Link = std::unique_ptr<bpf_link, decltype(&bpf_link__destroy)>;
using Ring = std::unique_ptr<ring_buffer, decltype(&ring_buffer__free)>;

/// Memory that a map shares with us.
template <typename Shared>
class Mapping {
public:
    Mapping(int map, int protection, off_t offset, const char* what)
        : memory_(mmap(nullptr, sizeof(Shared), protection, MAP_SHARED, map, offset)) {
        if (memory_ == MAP_FAILED) throw_errno(errno, fmt::format("mapping {} of the hooks", what));
    }
    ~Mapping() { munmap(memory_, sizeof(Shared)); }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;

    Shared& operator*() const { return *static_cast<Shared*>(memory_); }

private:
    void* memory_;
};

bool is_namespace(const char* link, ino_t inode) {
    struct stat status {};
    return stat(link, &status) != 0 || status.st_ino == inode;
}

/// The hooks see the ids of the initial PID namespace, whatever namespace we are in; and those in a part of the cgroup
/// hierarchy see the processes of that part alone.
void require_initial_namespaces() {
    constexpr ino_t kInitialPids = 0xEFFFFFFC, kInitialCgroups = 0xEFFFFFFB;  // include/linux/proc_ns.h
    if (!is_namespace("/proc/self/ns/pid", kInitialPids))
        throw Error("the ids of processes here are not those that hooks see (we are in a PID namespace)");
    if (!is_namespace("/proc/self/ns/cgroup", kInitialCgroups))
        throw Error("the topmost cgroup cannot be seen from here (we are in a cgroup namespace)");
}

/// By which a hook and we call a network (Linux 5.14).
void require_network_cookies() {
    const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    std::uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    if (getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0)
        throw_errno(errno, "asking for the cookie of a network namespace");
}

CgroupRoot place_for_hooks() {
    require_initial_namespaces();
    require_network_cookies();
    return open_cgroup_root();
}

/// What a kernel has beyond Linux 5.14.
struct KernelHas {
    bool loops = false;               // 5.17
    bool process_everywhere = false;  // 6.10: the current one, in hooks that see packets and connections
};

int load(socket_hooks_bpf& skeleton, int ports_map, std::size_t ring, const KernelHas& kernel) {
    skeleton.rodata->newer_kernel = kernel.loops;
    skeleton.rodata->newest_kernel = kernel.process_everywhere;
    if (const int error = bpf_map__reuse_fd(skeleton.maps.ports, ports_map)) return error;
    if (const int error = bpf_map__set_max_entries(skeleton.maps.events, static_cast<std::uint32_t>(ring)))
        return error;
    return socket_hooks_bpf::load(&skeleton);
}

Skeleton load(int ports_map, std::size_t ring) {
    constexpr KernelHas kinds[] = {{true, true}, {true, false}, {false, false}};
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
    static constexpr int kEnough = -ECANCELED;

public:
    Loaded(int ports_map, std::size_t ring)
        : cgroup_(place_for_hooks()),
          skeleton_(load(ports_map, ring)),
          processes_(map(skeleton_->maps.processes), PROT_READ | PROT_WRITE, 0, "the processes"),
          counts_(map(skeleton_->maps.counts), PROT_READ, 0, "the counts"),
          consumed_(map(skeleton_->maps.events), PROT_READ, 0, "the ring buffer"),
          produced_(map(skeleton_->maps.events), PROT_READ, sysconf(_SC_PAGESIZE), "the ring buffer"),
          ring_(ring_buffer__new(map(skeleton_->maps.events), on_event, this, nullptr), &ring_buffer__free) {
        if (!ring_) throw_errno(errno, "reading the hooks' ring buffer");
        attach();
    }

    const std::string& cgroup() const { return cgroup_.name; }

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
    int fd() const { return ring_buffer__epoll_fd(ring_.get()); }
    hook_counts& counts() const { return *counts_; }

    void drain(const Take& take) {
        // Documentation/bpf/ringbuf.rst: how far it has been written, and read. acquire: what was written before that.
        const auto target = position(produced_);
        take_ = &take;
        for (;;) {
            const auto from = position(consumed_);
            if (from >= target) break;
            left_ = target - from;
            const int taken = ring_buffer__consume(ring_.get());
            if (taken == 0) sched_yield();  // a hook on another CPU is just writing the next
            if (taken < 0 && taken != kEnough) break;
        }
        take_ = nullptr;
    }

private:
    static int map(const bpf_map* map) { return bpf_map__fd(map); }
    static std::uint32_t id(pid_t process) { return static_cast<std::uint32_t>(process) % PROCESS_IDS; }
    std::uint8_t& byte_of(pid_t process) const { return (*processes_).flags[id(process) / PROCESSES_A_BYTE]; }

    static std::uint64_t position(const Mapping<std::uint64_t>& mapping) {
        return std::atomic_ref(*mapping).load(std::memory_order_acquire);
    }

    /// libbpf would go on for as long as there are events.
    static int on_event(void* context, void* data, std::size_t size) {
        auto& self = *static_cast<Loaded*>(context);
        if (size >= sizeof(socket_event)) (*self.take_)(*static_cast<const socket_event*>(data));
        const std::uint64_t in_ring = (size + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
        self.left_ -= std::min(self.left_, in_ring);
        return self.left_ == 0 ? kEnough : 0;
    }

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
    const Mapping<process_table> processes_;
    const Mapping<hook_counts> counts_;
    const Mapping<std::uint64_t> consumed_, produced_;
    const Take* take_ = nullptr;
    std::uint64_t left_ = 0;  // bytes of the ring that are to be drained
    const Ring ring_;
    std::vector<Link> links_;
};

SocketHooks::SocketHooks(int ports_map, std::size_t ring) : loaded_(std::make_unique<Loaded>(ports_map, ring)) {}

SocketHooks::~SocketHooks() = default;

const std::string& SocketHooks::cgroup() const { return loaded_->cgroup(); }

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

void SocketHooks::drain(const Take& take) { loaded_->drain(take); }

int SocketHooks::fd() const { return loaded_->fd(); }

std::uint64_t SocketHooks::lost() const {
    return std::atomic_ref(loaded_->counts().lost).load(std::memory_order_relaxed);
}

std::uint64_t SocketHooks::unanswered() const {
    return std::atomic_ref(loaded_->counts().unanswered).load(std::memory_order_relaxed);
}

}  // namespace tracedump
