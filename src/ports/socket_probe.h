// Looks at a tracee's socket through a duplicate of its descriptor (pidfd_getfd(2)), taken and closed again within one
// look: a duplicate that is held would keep the socket open after the tracee closed it. Only asks; the one thing it
// may do to a socket is what the kernel is about to do itself, choose the port of an unbound UDP socket.
// Any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ports/socket.h"
#include "util/fd.h"

namespace tracedump {

/// Throws Error if this kernel lacks what a tracer of sockets needs (Linux 5.6).
void require_socket_probing();

/// A descriptor for pidfd_getfd on thread `tid` of process `tgid`, empty if it is gone. Before Linux 6.9 there are only
/// descriptors of whole processes; a thread that has left its process's descriptor table is then looked up wrongly.
UniqueFd open_pidfd(pid_t tid, pid_t tgid);

/// The tracee's descriptor `fd` in our table; empty with `error` set if it has none or we may not (EPERM).
UniqueFd borrow_descriptor(const UniqueFd& pidfd, int fd, int& error);

/// Duplicates of the sockets with these cookies, as far as thread `tid` of process `tgid` has them. Looks at the latest
/// descriptors first; each costs some microseconds.
std::vector<UniqueFd> find_sockets(pid_t tid, pid_t tgid, std::span<const SocketCookie> cookies);

/// What the duplicate is: nothing if it is no TCP, UDP or UDP-Lite socket over IPv4 or IPv6.
std::optional<SocketInfo> inspect_socket(const UniqueFd& socket);

/// Whether its SO_COOKIE is this. Of a Multipath TCP socket it never is what inspect_socket() calls it: inspect that.
bool has_cookie(const UniqueFd& socket, SocketCookie cookie);

/// Where a socket that was looked at before is bound and connected to now. False if it does not tell.
bool look_again(const UniqueFd& socket, SocketInfo& info);

/// Gives an unbound UDP socket its ephemeral port, exactly as the kernel does at the start of sendto and connect: the
/// address it has so far, port 0 (inet_autobind in net/ipv4/af_inet.c). Never call it for TCP: bind would take the
/// port away from connections to other remotes. Brings `info` up to date; false if there was no port to be had, as the
/// tracee's own call will find, or the socket has been bound meanwhile.
bool choose_udp_port(const UniqueFd& socket, SocketInfo& info);

}  // namespace tracedump
