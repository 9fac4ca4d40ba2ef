// What flows from the threads to the session: who is ready, who has ended and how.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "util/netns.h"
#include "util/signal_mailbox.h"

namespace tracedump {

/// monitor: every target is traced, the command is about to start.
struct TracingBegan {};

/// monitor: the launched command itself has ended (wait(2) status); `others` of its processes live on.
struct CommandEnded {
    int wait_status = 0;
    std::size_t others = 0;
};

/// monitor: the launched command has been stopped by `signal`, as for job control.
struct CommandStopped {
    int signal = 0;
};

/// monitor: its thread is done, every tracee gone or let go. `error` is empty if all went well.
struct MonitorEnded {
    std::string error;
    int exec_error = 0;  // errno of the exec that failed, when the command could not be started
};

/// capture or gc or writer: its thread had to give up. Packets from now on are lost, and counted where they are.
struct ThreadFailed {
    std::string error;
};

/// writer: the reader of our pipe is gone; nobody wants more packets.
struct OutputClosed {};

/// gc: the last connections of the application have closed, or patience has run out.
struct TailSettled {};

/// gc: no socket of the application is left in that network, and none was for a while.
struct NetworkIdle {
    NetworkId network = 0;
};

/// capture: that network's ring is empty and no longer used.
struct NetworkLeft {
    NetworkId network = 0;
};

/// capture: everything up to the drain has been handed to the writer.
struct CaptureDrained {};

using SessionEvent = std::variant<TracingBegan, CommandEnded, CommandStopped, MonitorEnded, ThreadFailed, OutputClosed,
                                  TailSettled, NetworkIdle, NetworkLeft, CaptureDrained>;
using SessionMailbox = SignalMailbox<SessionEvent, 1>;

}  // namespace tracedump
