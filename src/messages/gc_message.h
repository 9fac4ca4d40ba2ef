// What flows from monitor and session to gc.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <variant>

#include "util/mailbox.h"

namespace tracedump {

/// A traced process has ended, and with it, probably, sockets: worth a look before the next sweep is due.
struct ProcessEnded {
    pid_t pid = 0;
};

/// The application is gone: answer with TailSettled when its last connections have closed, or after `patience`.
struct AwaitTail {
    std::chrono::milliseconds patience{};
};

struct StopCollecting {};

using GcMessage = std::variant<ProcessEnded, AwaitTail, StopCollecting>;
using GcMailbox = Mailbox<GcMessage>;

}  // namespace tracedump
