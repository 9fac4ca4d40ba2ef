#include "gc/gc.h"

#include <poll.h>

#include <algorithm>

namespace tracedump {

namespace {

using std::chrono::milliseconds;

// A peer that answers at once closes within a millisecond; one that does not may take a second. A look costs a walk
// through all of the kernel's TCP table.
constexpr milliseconds kFirstTailPause{1};
constexpr milliseconds kLongestTailPause{16};

constexpr milliseconds kIdleWait{60'000};
// How long news may lie before they are read, if no packet calls for them sooner.
constexpr milliseconds kNewsWait{50};
// Where hooks tell when UDP ports are given up, deaths may wait for one another: to be woken up by each of some ten
// thousand a second would take CPU time from the application.
constexpr milliseconds kDeathsGather{2};

}  // namespace

void Gc::run() {
    for (;;) {
        wait();
        if (!take_messages()) return;
        links_.news.catch_up();
        for (const auto& watch : watches_) attend(*watch);
        adopter_.look_if_due();
        if (tail_deadline_) check_tail();
    }
}

void Gc::wait() {
    auto until = std::min(Clock::now() + (tail_deadline_ ? tail_pause_ : kIdleWait), adopter_.next_due());
    if (links_.news.hooked()) until = std::min(until, Clock::now() + kNewsWait);
    // poll(2) passes over a negative descriptor.
    std::vector<pollfd> ready{{links_.inbox.bell(), POLLIN, 0}, {links_.news.fd(), POLLIN, 0}};
    for (const auto& watch : watches_) {
        until = std::min(until, watch->next_due());
        ready.push_back({watch->fd(), POLLIN, 0});
    }
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    poll(ready.data(), ready.size(), static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    hear_deaths();
    const bool only_deaths = (ready[0].revents | ready[1].revents) == 0;
    if (!links_.news.hooked() || !only_deaths) return;
    poll(ready.data(), 2, static_cast<int>(kDeathsGather.count()));
    hear_deaths();
}

void Gc::hear_deaths() {
    for (const auto& watch : watches_) watch->hear_deaths();
}

bool Gc::take_messages() {
    links_.inbox.silence();
    while (const auto message = links_.inbox.take()) {
        if (std::holds_alternative<StopCollecting>(*message)) return false;
        if (const auto* tail = std::get_if<AwaitTail>(&*message)) {
            tail_deadline_ = Clock::now() + tail->patience;
            tail_pause_ = kFirstTailPause;
        } else if (const auto* watch = std::get_if<WatchNetwork>(&*message)) {
            watches_.push_back(watch->watch);
        } else if (const auto* leave = std::get_if<LeaveNetwork>(&*message)) {
            std::erase_if(watches_, [&](const auto& watched) { return watched->network() == leave->network; });
        } else if (const auto* began = std::get_if<ProcessBegan>(&*message)) {
            adopter_.process_began(began->pid);
        } else if (const auto* user = std::get_if<UsesIoUring>(&*message)) {
            adopter_.uses_io_uring(user->pid);
        } else if (const auto* closed = std::get_if<SocketClosed>(&*message)) {
            for (const auto& watched : watches_)
                if (watched->network() == closed->network) watched->judge_death(closed->cookie, closed->time);
        } else if (std::holds_alternative<NewsLost>(*message)) {
            adopter_.look_at_all_now();
            for (const auto& watched : watches_) watched->sweep_soon();
        } else if (const auto* flows = std::get_if<ExpectFlows>(&*message)) {
            for (const auto& watched : watches_)
                if (watched->network() == flows->network) watched->expect_flows();
        } else if (const auto* ended = std::get_if<ProcessEnded>(&*message)) {
            adopter_.process_ended(ended->pid);
            for (const auto& watched : watches_) watched->expect_deaths();
        }
    }
    return true;
}

void Gc::attend(SocketWatch& watch) {
    watch.judge_deaths();
    watch.sweep_if_due(links_.capture.judged_until);
    if (watch.take_idle()) links_.session.post(NetworkIdle{watch.network()});
}

/// In which network they are, their inodes do not tell.
std::vector<std::uint64_t> Gc::adopt(const Adopter::Inodes& inodes) {
    std::vector<std::uint64_t> found;
    for (const auto& watch : watches_) {
        const auto here = watch->adopt(inodes);
        found.insert(found.end(), here.begin(), here.end());
    }
    return found;
}

void Gc::check_tail() {
    const bool settled =
        std::all_of(watches_.begin(), watches_.end(), [](const auto& watch) { return watch->tail_settled(); });
    tail_pause_ = std::min(tail_pause_ * 2, kLongestTailPause);
    if (Clock::now() < *tail_deadline_ && !settled) return;
    tail_deadline_.reset();
    links_.session.post(TailSettled{});
}

}  // namespace tracedump
