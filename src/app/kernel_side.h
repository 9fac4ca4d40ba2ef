// What of a capture runs in the kernel, as the options ask for it and the kernel allows it: the packet filter's engine,
// and the hooks that report sockets. What could not be had, and why, is in the log. Main thread.
#pragma once

#include <memory>

#include "app/options.h"
#include "capture/filter_engine.h"
#include "hooks/socket_hooks.h"
#include "messages/gc_message.h"
#include "messages/monitor_order.h"
#include "ports/networks.h"
#include "ports/port_table.h"
#include "ports/socket_news.h"

namespace tracedump {

struct KernelSide {
    /// `snaplen`: bytes that the kernel keeps of a packet. Throws Error if what is asked for cannot be had.
    KernelSide(const Options& options, std::uint32_t snaplen);

    std::unique_ptr<FilterEngine> filters;
    PortTable* ports = nullptr;          // of the eBPF engine
    std::unique_ptr<SocketHooks> hooks;  // none: the ptrace sensor is at work
};

/// What there is to be told of sockets without system-call stops; borrows all of its arguments.
std::unique_ptr<SocketNews> make_news(KernelSide& kernel, Networks& networks, GcMailbox& gc, MonitorInbox& monitor);

}  // namespace tracedump
