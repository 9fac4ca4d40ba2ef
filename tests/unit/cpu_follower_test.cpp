// A thread of its own follows a child that is bound to one CPU after the other.
#include "monitor/cpu_follower.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

namespace tracedump {
namespace {

std::vector<int> cpus_of(pid_t tid) {
    cpu_set_t set;
    std::vector<int> cpus;
    if (sched_getaffinity(tid, sizeof set, &set) != 0) return cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    return cpus;
}

bool bind_to(pid_t tid, int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(tid, sizeof set, &set) == 0;
}

class CpuFollowerTest : public ::testing::Test {
protected:
    void SetUp() override {
        if (all_.size() < 2) GTEST_SKIP() << "there is one CPU";
        child_ = fork();
        if (child_ == 0)
            for (;;) pause();
    }
    void TearDown() override {
        if (child_ <= 0) return;
        kill(child_, SIGKILL);
        waitpid(child_, nullptr, 0);
    }

    void stops(pid_t tid, int times) {
        for (int i = 0; i < times; ++i) follower_.on_stop(tid);
    }

    /// Stops again and again until the follower is there; a pause in between, on a busy machine, has it begin anew.
    void follow_child_to(int cpu) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (cpus_of(0) != std::vector{cpu} && std::chrono::steady_clock::now() < deadline)
            stops(child_, CpuFollower::kStopsInARow);
        ASSERT_EQ(cpus_of(0), std::vector{cpu});
    }

    /// Makes the child run there.
    void move_child(int cpu) {
        ASSERT_TRUE(bind_to(child_, cpu));
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (ProcFs().last_cpu(child_) != cpu && std::chrono::steady_clock::now() < deadline) {
            kill(child_, SIGSTOP);
            kill(child_, SIGCONT);
            std::this_thread::yield();
        }
        ASSERT_EQ(ProcFs().last_cpu(child_), cpu);
    }

    /// The body has a thread whose CPUs are its own.
    template <typename Body>
    static void on_own_thread(Body body) {
        std::jthread thread(body);
    }

    const std::vector<int> all_ = cpus_of(0);
    pid_t child_ = 0;
    CpuFollower follower_;
};

TEST_F(CpuFollowerTest, GoesWhereATraceeIsThatStopsAgainAndAgain) {
    on_own_thread([this] {
        for (const int cpu : {all_[0], all_[1], all_[0]}) {
            move_child(cpu);
            follow_child_to(cpu);
        }
        EXPECT_EQ(cpus_of(child_), std::vector{all_[0]});
    });
}

TEST_F(CpuFollowerTest, FollowsNobodyWhereSeveralStop) {
    on_own_thread([this] {
        for (int i = 0; i < 3 * CpuFollower::kStopsInARow; ++i) {
            stops(child_, 1);
            stops(getpid(), 1);
        }
        EXPECT_EQ(cpus_of(0), all_);
        move_child(all_[0]);
        follow_child_to(all_[0]);
        stops(getpid(), 1);
        EXPECT_EQ(cpus_of(0), all_);
    });
}

TEST_F(CpuFollowerTest, LetsGoWhenItIsTold) {
    on_own_thread([this] {
        move_child(all_[0]);
        follow_child_to(all_[0]);
        follower_.let_go();
        EXPECT_EQ(cpus_of(0), all_);
        follow_child_to(all_[0]);
    });
}

TEST_F(CpuFollowerTest, DoesNotFollowWhoStopsNowAndThen) {
    on_own_thread([this] {
        for (int i = 0; i < 2 * CpuFollower::kStopsInARow; ++i) {
            stops(child_, 1);
            std::this_thread::sleep_for(CpuFollower::kSoon + std::chrono::microseconds(100));
        }
        EXPECT_EQ(cpus_of(0), all_);
    });
}

TEST_F(CpuFollowerTest, DoesNotShareACpuWithRealTime) {
    on_own_thread([this] {
        move_child(all_[0]);
        follow_child_to(all_[0]);
        const sched_param urgent{.sched_priority = 1};
        if (sched_setscheduler(child_, SCHED_FIFO, &urgent) != 0) GTEST_SKIP() << "no real-time policy here";
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (cpus_of(0) != all_ && std::chrono::steady_clock::now() < deadline)
            stops(child_, CpuFollower::kStopsInARow);
        EXPECT_EQ(cpus_of(0), all_);
        stops(child_, 4 * CpuFollower::kStopsInARow);
        EXPECT_EQ(cpus_of(0), all_);
    });
}

TEST_F(CpuFollowerTest, LeavesAloneWhatSomebodyElseHasSet) {
    on_own_thread([this] {
        move_child(all_[0]);
        follow_child_to(all_[0]);
        ASSERT_TRUE(bind_to(0, all_[1]));
        follower_.let_go();
        EXPECT_EQ(cpus_of(0), std::vector{all_[1]});
    });
}

TEST_F(CpuFollowerTest, StaysOnTheCpusThatItMayUse) {
    on_own_thread([this] {
        move_child(all_[1]);
        ASSERT_TRUE(bind_to(0, all_[0]));
        stops(child_, 2 * CpuFollower::kStopsInARow);
        EXPECT_EQ(cpus_of(0), std::vector{all_[0]});
        move_child(all_[0]);
        stops(child_, CpuFollower::kStopsInARow);
        follower_.let_go();
        EXPECT_EQ(cpus_of(0), std::vector{all_[0]});
    });
}

TEST_F(CpuFollowerTest, ATraceeThatIsGoneIsNotFollowed) {
    on_own_thread([this] {
        stops(0x7ffffffe, 2 * CpuFollower::kStopsInARow);
        EXPECT_EQ(cpus_of(0), all_);
    });
}

}  // namespace
}  // namespace tracedump
