#include "gc/socket_watch.h"

#include <algorithm>

#include "gc/proc_net.h"
#include "util/error.h"
#include "util/log.h"

namespace tracedump {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSweepWithDeaths{5000};     // a net for lost multicasts
constexpr milliseconds kSweepWithoutDeaths{1000};  // the only way to learn of a death, or of a Multipath TCP flow
constexpr milliseconds kSweepAfterExit{100};       // without deaths: let a few exits come together
constexpr milliseconds kSweepAfterFind{2100};      // when it is old enough for a sweep (Collector)
// A sweep through tens of thousands of sockets takes some 0.1 s: so many times as long there is none.
constexpr int kRestWithDeaths = 200, kRestWithoutDeaths = 20;
constexpr milliseconds kIdleUntilLeft{2000};  // as long as the tail of a capture may be

std::unique_ptr<SocketTable> open_table(bool home) {
    try {
        return std::make_unique<SockDiagTable>();
    } catch (const Error& error) {
        if (!home) throw;
        log_engine("gc: {}; reading /proc/net instead", error.what());
        return std::make_unique<ProcNetTable>();
    }
}

void tell_of_no_deaths(const Error& why) { log_engine("gc: {}; sweeping more often instead", why.what()); }

std::optional<SocketDeaths> open_deaths(const SocketWatch::Setting& setting) {
    try {
        SocketDeaths deaths;
        if (!setting.udp_ends_hooked) deaths.hear_udp();
        if (!setting.tcp_ends_hooked) deaths.hear_tcp();
        return deaths;
    } catch (const Error& error) {
        tell_of_no_deaths(error);
        return std::nullopt;
    }
}

}  // namespace

SocketWatch::SocketWatch(NetworkId network, std::shared_ptr<PortRegistry> registry, const Setting& setting)
    : network_(network),
      setting_(setting),
      registry_(std::move(registry)),
      table_(open_table(setting.home)),
      deaths_(open_deaths(setting)),
      collector_(*registry_, *table_),
      next_sweep_(Clock::now() + kSweepWithoutDeaths) {}

/// To announce each death takes the kernel a worker's time, on the CPU where it was: so not before it is of use.
void SocketWatch::hear_more(bool tcp, bool udp) {
    if (!deaths_) return;
    tcp = tcp && !deaths_->hears_tcp();
    udp = udp && !deaths_->hears_udp();
    if (!tcp && !udp) return;
    try {
        if (tcp) deaths_->hear_tcp();
        if (udp) deaths_->hear_udp();
    } catch (const Error& error) {
        tell_of_no_deaths(error);
        deaths_.reset();
    }
    // One that was found may have died before that.
    next_sweep_ = std::min(next_sweep_, Clock::now() + kSweepAfterFind);
}

std::vector<std::uint64_t> SocketWatch::adopt(const std::unordered_set<std::uint64_t>& inodes) {
    auto found = collector_.adopt(inodes, realtime_now());
    if (!found.empty()) hear_more(true, true);
    return found;
}

void SocketWatch::hear_deaths() {
    if (!deaths_) return;
    auto heard = deaths_->take();
    if (!heard.dead.empty()) dead_.push_back({std::move(heard.dead), realtime_now()});
    if (heard.lost_some) sweep_soon();
}

void SocketWatch::judge_deaths() {
    for (const Dead& dead : dead_) collector_.sockets_died(dead.sockets, dead.until);
    dead_.clear();
}

void SocketWatch::judge_death(SocketCookie socket, Timestamp time) {
    SocketRow row;
    row.cookie = socket;
    collector_.sockets_died(std::span(&row, 1), time);
}

void SocketWatch::expect_deaths() {
    if (!deaths_) next_sweep_ = std::min(next_sweep_, Clock::now() + kSweepAfterExit);
}

void SocketWatch::expect_flows() {
    collector_.expect_flows();
    next_sweep_ = std::min(next_sweep_, Clock::now() + kSweepWithoutDeaths);
}

void SocketWatch::sweep_if_due(Timestamp judged_until) {
    hear_more(registry_->has_found_tcp(), false);
    if (Clock::now() < next_sweep_) return;
    const bool by_sweeps_alone = !deaths_ || collector_.multipath();
    if (Clock::now() >= rested_) {
        log_engine("gc: sweep");
        const auto began = Clock::now();
        collector_.sweep(realtime_now);
        const auto ended = Clock::now();
        rested_ = ended + (ended - began) * (by_sweeps_alone ? kRestWithoutDeaths : kRestWithDeaths);
    }
    registry_->forget_dead(judged_until);
    next_sweep_ = Clock::now() + (by_sweeps_alone ? kSweepWithoutDeaths : kSweepWithDeaths);
}

void SocketWatch::sweep_soon() { next_sweep_ = rested_ = Clock::now(); }

bool SocketWatch::take_idle() {
    if (setting_.home || !registry_->idle()) {
        idle_since_.reset();
        return false;
    }
    const auto now = Clock::now();
    if (!idle_since_) idle_since_ = now;
    if (now < *idle_since_ + kIdleUntilLeft) return false;
    idle_since_ = now;
    return true;
}

SocketWatch::Clock::time_point SocketWatch::next_due() const {
    return idle_since_ ? std::min(next_sweep_, *idle_since_ + kIdleUntilLeft) : next_sweep_;
}

}  // namespace tracedump
