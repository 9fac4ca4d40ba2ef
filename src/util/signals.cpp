#include "util/signals.h"

#include <sys/resource.h>
#include <unistd.h>

#include <initializer_list>

namespace tracedump {

InheritedSignals InheritedSignals::take_over() {
    InheritedSignals found;
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) sigdelset(&all, fault);
    sigprocmask(SIG_SETMASK, &all, &found.mask_);

    struct sigaction by_default {};
    by_default.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &by_default, &found.child_);
    return found;
}

void InheritedSignals::restore() const {
    sigaction(SIGCHLD, &child_, nullptr);
    sigprocmask(SIG_SETMASK, &mask_, nullptr);
}

bool InheritedSignals::ignored(int signal) const {
    struct sigaction now {};
    sigaction(signal, nullptr, &now);
    return now.sa_handler == SIG_IGN;
}

void die_by(int signal) {
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    ::signal(signal, SIG_DFL);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, signal);
    raise(signal);
    sigprocmask(SIG_UNBLOCK, &only, nullptr);
}

}  // namespace tracedump
