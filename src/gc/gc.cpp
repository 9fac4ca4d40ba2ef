#include "gc/gc.h"

#include <poll.h>

#include <algorithm>

#include "gc/proc_net.h"
#include "util/error.h"
#include "util/log.h"

namespace tracedump {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSweepWithDeaths{5000};     // a net for lost multicasts
constexpr milliseconds kSweepWithoutDeaths{1000};  // the only way to learn of a death
constexpr milliseconds kSweepAfterExit{100};       // without deaths: let a few exits come together
constexpr milliseconds kTailCheck{5};

std::unique_ptr<SocketTable> open_table() {
    try {
        return std::make_unique<SockDiagTable>();
    } catch (const Error& error) {
        log_engine("gc: {}; reading /proc/net instead", error.what());
        return std::make_unique<ProcNetTable>();
    }
}

std::optional<SocketDeaths> open_deaths() {
    try {
        return std::make_optional<SocketDeaths>();
    } catch (const Error& error) {
        log_engine("gc: {}; sweeping more often instead", error.what());
        return std::nullopt;
    }
}

}  // namespace

Gc::Gc(const Links& links)
    : links_(links),
      table_(open_table()),
      deaths_(open_deaths()),
      collector_(links.registry, *table_),
      next_sweep_(Clock::now() + kSweepWithoutDeaths) {}

void Gc::run() {
    for (;;) {
        const auto left = std::chrono::ceil<milliseconds>(next_due() - Clock::now());
        // poll(2) passes over a negative descriptor.
        pollfd ready[] = {{links_.inbox.bell(), POLLIN, 0}, {deaths_ ? deaths_->fd() : -1, POLLIN, 0}};
        poll(ready, std::size(ready), static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        if (ready[1].revents != 0) hear_deaths();
        if (ready[0].revents != 0 && !take_messages()) return;
        if (Clock::now() >= next_sweep_) sweep();
        if (tail_deadline_) check_tail();
    }
}

Gc::Clock::time_point Gc::next_due() const {
    if (!tail_deadline_) return next_sweep_;
    return std::min({next_sweep_, *tail_deadline_, Clock::now() + kTailCheck});
}

bool Gc::take_messages() {
    links_.inbox.silence();
    while (const auto message = links_.inbox.take()) {
        if (std::holds_alternative<StopCollecting>(*message)) return false;
        if (const auto* tail = std::get_if<AwaitTail>(&*message))
            tail_deadline_ = Clock::now() + tail->patience;
        else if (!deaths_)  // ProcessEnded
            next_sweep_ = std::min(next_sweep_, Clock::now() + kSweepAfterExit);
    }
    return true;
}

void Gc::hear_deaths() {
    const auto heard = deaths_->take();
    collector_.sockets_died(heard.dead, realtime_now());
    if (heard.lost_some) next_sweep_ = Clock::now();
}

void Gc::sweep() {
    log_engine("gc: sweep");
    collector_.sweep(realtime_now());
    links_.registry.forget_dead(links_.capture.judged_until);
    next_sweep_ = Clock::now() + (deaths_ ? kSweepWithDeaths : kSweepWithoutDeaths);
}

void Gc::check_tail() {
    if (Clock::now() < *tail_deadline_ && !collector_.tail_settled()) return;
    tail_deadline_.reset();
    links_.session.post(TailSettled{});
}

}  // namespace tracedump
