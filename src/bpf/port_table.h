/* The table of ports that programs in the kernel and tracedump share, as memory that both have mapped: a byte is a
 * port, so that a port comes in force by one store, with no lock and no system call. C, BPF C and C++.
 *
 * One table serves all network namespaces under capture: it accepts a superset anyway, and whose a packet is gets
 * decided elsewhere. */
#ifndef TRACEDUMP_BPF_PORT_TABLE_H
#define TRACEDUMP_BPF_PORT_TABLE_H

#include <linux/types.h>

#define PORT_TABLE_PORTS 65536
#define PORT_TABLE_REMOTES 65536

struct port_entry {
    __u8 claimed; /* tracedump knows a socket with this port; tracedump writes it */
    __u8 born;    /* a hook in the kernel has just seen one; the hook sets it, tracedump clears it once it is claimed */
};

struct port_table {
    struct port_entry tcp[PORT_TABLE_PORTS];
    struct port_entry udp[PORT_TABLE_PORTS]; /* UDP-Lite too */
    __u8 remotes[PORT_TABLE_REMOTES];        /* that connects are under way to, by remote_slot() */
    __u8 any_remote;                         /* whether there is one: mostly not, and then nobody need look */
};

/* Where a remote is noted: `address` is the whole of an IPv4 address, the last word of an IPv6 one, `port` its port,
 * both in host byte order. Remotes may share a slot. */
static inline __u32 remote_slot(__u32 address, __u32 port) {
    return ((address ^ port << 16) * 0x9e3779b1u) >> 16; /* 2^32 / golden ratio: Fibonacci hashing */
}

#endif
