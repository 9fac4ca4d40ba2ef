// What taking over does to a process's signals and that it can be undone. Each test runs in a child of its own.
#include "util/signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tracedump {
namespace {

/// The wait(2) status of a child that runs `body` and ends with 0 if it gave true.
template <typename Body>
int status_of(Body body) {
    const pid_t child = fork();
    if (child == 0) _exit(body() ? 0 : 1);
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
}

bool is_blocked(int signal) {
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    return sigismember(&mask, signal) == 1;
}

TEST(InheritedSignals, TakeOverBlocksAllButTheSynchronousFaults) {
    EXPECT_EQ(status_of([] {
                  InheritedSignals::take_over();
                  bool good = true;
                  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE, SIGUSR1, SIGTSTP, SIGQUIT})
                      good &= is_blocked(signal);
                  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) good &= !is_blocked(signal);
                  return good && is_blocked(SIGRTMIN);
              }),
              0);
}

TEST(InheritedSignals, RestorePutsBackMaskAndDisposition) {
    EXPECT_EQ(status_of([] {
                  sigset_t mask;
                  sigemptyset(&mask);
                  sigaddset(&mask, SIGUSR2);
                  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
                  std::signal(SIGCHLD, SIG_IGN);
                  const auto inherited = InheritedSignals::take_over();
                  struct sigaction child {};
                  sigaction(SIGCHLD, nullptr, &child);
                  const bool was_default = child.sa_handler == SIG_DFL;
                  inherited.restore();
                  sigaction(SIGCHLD, nullptr, &child);
                  return was_default && child.sa_handler == SIG_IGN && is_blocked(SIGUSR2) && !is_blocked(SIGINT);
              }),
              0);
}

TEST(InheritedSignals, KnowsWhatWasIgnored) {
    EXPECT_EQ(status_of([] {
                  std::signal(SIGHUP, SIG_IGN);
                  std::signal(SIGCHLD, SIG_IGN);
                  std::signal(SIGTERM, SIG_DFL);
                  const auto inherited = InheritedSignals::take_over();
                  return inherited.ignored(SIGHUP) && !inherited.ignored(SIGTERM);
              }),
              0);
}

TEST(DieBy, EndsTheProcessByThatSignal) {
    for (const int signal : {SIGTERM, SIGINT, SIGKILL, SIGQUIT}) {
        const int status = status_of([&] {
            InheritedSignals::take_over();  // blocked, and still the end
            die_by(signal);
            return false;
        });
        EXPECT_TRUE(WIFSIGNALED(status)) << signal;
        EXPECT_EQ(WTERMSIG(status), signal);
        EXPECT_FALSE(WCOREDUMP(status)) << signal;
    }
}

TEST(DieBy, ReturnsIfTheSignalIsHarmless) {
    EXPECT_EQ(status_of([] {
                  die_by(SIGCHLD);
                  return true;
              }),
              0);
}

}  // namespace
}  // namespace tracedump
