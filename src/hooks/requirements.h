// What the hooks need of the system, beyond the rights to load them. Any thread.
#pragma once

namespace tracedump {

/// Throws Error, which says what is missing: hooks see the ids of the initial PID namespace, whatever namespace we are
/// in; and they and we call a network by its cookie (SO_NETNS_COOKIE, Linux 5.14).
void require_place_for_hooks();

}  // namespace tracedump
