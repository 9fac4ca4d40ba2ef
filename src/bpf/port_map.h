// The table of ports (port_table.h) as the programs in the kernel have it: the packet filter's map, into which the
// hooks write too. BPF C.
#ifndef TRACEDUMP_BPF_PORT_MAP_H
#define TRACEDUMP_BPF_PORT_MAP_H

#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_helpers.h>

#include "port_table.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct port_table);
} ports SEC(".maps");

static __always_inline struct port_table* port_table(void) {
    const __u32 zero = 0;
    return bpf_map_lookup_elem(&ports, &zero);
}

/// A number below 65536, as an index. The mask changes nothing, so that the compiler would leave it out; but verifiers
/// (that of Linux 6.1) lose what they know of a number on its way over the stack.
static __always_inline __u64 index_of(__u64 number) {
    asm("%0 &= 0xffff" : "+r"(number));
    return number;
}

static __always_inline struct port_entry* entry_of(struct port_table* table, __u32 protocol, __u32 port) {
    return protocol == IPPROTO_TCP ? &table->tcp[index_of(port)] : &table->udp[index_of(port)];
}

static __always_inline bool passes(const struct port_entry* entry) { return entry->claimed || entry->born; }

#endif
