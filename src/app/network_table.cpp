#include "app/network_table.h"

#include <unistd.h>

#include <algorithm>

#include "gc/socket_watch.h"
#include "util/log.h"

namespace tracedump {

namespace {

// A network that was used this recently may be about to be used again. Who called of() needs far less than that until
// the claim that makes the network busy.
constexpr std::chrono::seconds kInUse{1};

// What was missing for a network, memory or a descriptor, may be there later; but a failure to set up a ring takes some
// time, for which a traced process may wait.
constexpr std::chrono::seconds kRest{1};

void add(NetworkTable::Totals& sum, PacketRing& ring, const PortRegistry& registry) {
    const auto statistics = ring.statistics();
    sum.ring.received += statistics.received;
    sum.ring.dropped += statistics.dropped;
    const auto ports = registry.totals();
    sum.ports.sockets += ports.sockets;
    sum.ports.ports += ports.ports;
    sum.ports.living += ports.living;
}

}  // namespace

NetworkTable::Network::Network(const Settings& settings, FilterEngine& filters)
    : ring(settings.ring_mebibytes),
      registry(filters.put_on(ring.socket()), settings.icmp_errors ? kErrorPatience : 0),
      id(network_of_socket(ring.socket())),
      last_used(Clock::now()) {}

std::shared_ptr<PortRegistry> NetworkTable::registry_of(const std::shared_ptr<Network>& network) const {
    return {network, &network->registry};
}

void NetworkTable::open_first(std::optional<pid_t> target) {
    std::lock_guard lock(mutex_);
    std::optional<NetworkVisit> visit;
    // A target that is gone, or not ours to trace, is the monitor's to complain about.
    UniqueFd network = open_network_of_process(target.value_or(getpid()));
    if (target && network) visit.emplace(network);
    open_locked(!visit || !visit->abroad(), inode_of_network(network));
    first_ = open_.begin()->first;
}

/// Opens the network that the calling thread is in.
void NetworkTable::open_locked(bool home, std::uint64_t inode) {
    const auto network = std::make_shared<Network>(settings_, links_.filters);
    network->inode = inode;
    const auto registry = registry_of(network);
    SocketWatch::Setting setting;
    setting.home = home;
    setting.udp_ends_hooked = links_.hooks != nullptr;
    setting.tcp_ends_hooked = settings_.launched && links_.hooks && links_.hooks->tell_tcp_ends();
    auto watch = std::make_shared<SocketWatch>(network->id, registry, setting);
    links_.capture.post(WatchRing{network->id,
                                  {network, &network->ring},
                                  std::shared_ptr<const Published<PortSet>>(network, &registry->snapshot()),
                                  std::shared_ptr<HostAddresses>(network, &network->addresses),
                                  std::shared_ptr<Translations>(network, &network->translations)});
    links_.gc.post(WatchNetwork{std::move(watch)});
    open_.emplace(network->id, network);
    if (links_.hooks) links_.hooks->capture(network->id);
    log_engine("network {}: opened", network->id);
}

std::shared_ptr<PortRegistry> NetworkTable::use_locked(const std::shared_ptr<Network>& network) {
    network->last_used = Clock::now();
    return registry_of(network);
}

std::shared_ptr<PortRegistry> NetworkTable::of(NetworkId id, int socket) {
    std::lock_guard lock(mutex_);
    // What the kernel does not name is most likely where everybody is.
    const auto known = open_.find(id != 0 ? id : first_);
    if (known != open_.end()) return use_locked(known->second);
    if (rests(id)) return nullptr;
    try {
        const UniqueFd network = open_network_of_socket(socket);
        const NetworkVisit visit(network);
        open_locked(false, inode_of_network(network));
        return registry_of(open_.at(id));
    } catch (const Error& error) {
        refuse(id, error);
        return nullptr;
    }
}

std::shared_ptr<PortRegistry> NetworkTable::find(NetworkId id) {
    std::lock_guard lock(mutex_);
    const auto known = open_.find(id);
    return known == open_.end() ? nullptr : use_locked(known->second);
}

std::optional<bool> NetworkTable::is_v6_only(NetworkId id, const SocketInfo& socket) {
    std::lock_guard lock(mutex_);
    const auto known = open_.find(id);
    return known == open_.end() ? std::nullopt : known->second->inquiry.is_v6_only(socket);
}

void NetworkTable::visit(pid_t pid, pid_t tid) {
    std::lock_guard lock(mutex_);
    const UniqueFd network = open_network_of_thread(pid, tid);
    if (!network) return;  // it is gone
    const auto inode = inode_of_network(network);
    const auto known =
        std::find_if(open_.begin(), open_.end(), [&](const auto& n) { return n.second->inode == inode; });
    if (known != open_.end()) {
        use_locked(known->second);
        return;
    }
    std::uint64_t name = inode;
    try {
        const NetworkVisit visit(network);
        name = network_here();
        if (!rests(name)) open_locked(false, inode);
    } catch (const Error& error) {
        refuse(name, error);
    }
}

/// Whether this network was refused so recently that it is not to be tried again yet.
bool NetworkTable::rests(NetworkId id) const {
    const auto refused = refused_.find(id);
    return refused != refused_.end() && Clock::now() < refused->second;
}

void NetworkTable::refuse(std::uint64_t name, const Error& error) {
    const bool is_new = refused_.insert_or_assign(name, Clock::now() + kRest).second;
    if (!is_new) return;
    log_warning("a traced process has sockets in another network namespace, which are not captured: {}", error.what());
}

void NetworkTable::leave(NetworkId id, SocketNews& news) {
    // From here on a process that has a socket there has us told, and waits for us.
    if (id != first_ && links_.hooks) links_.hooks->uncapture(id);
    news.catch_up();
    std::lock_guard lock(mutex_);
    const auto known = open_.find(id);
    if (known == open_.end() || id == first_) return;
    if (!known->second->registry.idle() || known->second->last_used + kInUse > Clock::now() ||
        (links_.hooks && links_.hooks->has_unused(id))) {
        if (links_.hooks) links_.hooks->capture(id);
        return;
    }
    log_engine("network {}: left", id);
    leaving_.insert(*known);
    open_.erase(known);
    links_.capture.post(LeaveRing{id});
    links_.gc.post(LeaveNetwork{id});
}

void NetworkTable::left(NetworkId id) {
    std::lock_guard lock(mutex_);
    const auto known = leaving_.find(id);
    if (known == leaving_.end()) return;
    add(past_, known->second->ring, known->second->registry);
    known->second->registry.forget_dead(kNever);  // all its packets have been judged
    leaving_.erase(known);
}

void NetworkTable::count_packets() {
    std::lock_guard lock(mutex_);
    for (const auto& [id, network] : open_) network->ring.statistics();
    for (const auto& [id, network] : leaving_) network->ring.statistics();
}

NetworkTable::Totals NetworkTable::totals() {
    std::lock_guard lock(mutex_);
    Totals sum = past_;
    for (const auto& [id, network] : open_) add(sum, network->ring, network->registry);
    for (const auto& [id, network] : leaving_) add(sum, network->ring, network->registry);
    return sum;
}

}  // namespace tracedump
