// The packet filter of a capture as an eBPF program (socket filter): accepts a superset of the application's packets,
// as the classic one does (capture/filter_compiler.h), but finds the ports in a table that is mapped into tracedump's
// memory. It runs on SOCK_DGRAM packet sockets, where the data begins at the network header.
//
// The kernel calls it for each packet of each device, those of strangers above all: it does no more than it must.
#include <linux/bpf.h>
#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "port_map.h"

#define LOOPBACK_IFINDEX 1   // of each network namespace (LOOPBACK_IFINDEX in include/net/flow.h)
#define ANY_FRAGMENT 0x3fff  // "more fragments", or an offset: their ports are in the first one alone
#define IPPROTO_MOBILITY 135
#define FIRST_ICMPV6_INFORMATION 128  // all types below are errors (RFC 4443, 2.1)

enum { REJECT = 0 };

const volatile __u32 snaplen = 262144;  // bytes kept of a packet that is accepted
const volatile __u8 icmp_errors = 0;    // accept those too, whomever they quote

struct transport_ports {
    __be16 source;
    __be16 destination;
};

/// The ends of a packet, in host byte order; of IPv6 addresses the last word.
struct ends {
    __u32 source_address;
    __u32 destination_address;
    __u32 source;
    __u32 destination;
};

static __always_inline bool is_transport(__u8 protocol) {
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE;
}

static __always_inline bool is_extension_header(__u8 protocol) {
    switch (protocol) {
        case IPPROTO_HOPOPTS:
        case IPPROTO_ROUTING:
        case IPPROTO_FRAGMENT:
        case IPPROTO_AH:
        case IPPROTO_DSTOPTS:
        case IPPROTO_MOBILITY:
            return true;
        default:
            return false;
    }
}

static __always_inline bool is_icmp_error(__u8 type) {
    return type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
           type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

static __always_inline bool is_known(struct port_table* table, __u8 protocol, __u32 local, __u32 remote,
                                     __u32 remote_address) {
    if (passes(entry_of(table, protocol, local))) return true;
    return table->any_remote && table->remotes[index_of(remote_slot(remote_address, remote))];
}

/// Which end is local? Outgoing: the sender's. Incoming: the receiver's. On the loopback, where only the incoming copy
/// gets here, either.
static __always_inline int judge(const struct __sk_buff* packet, __u8 protocol, const struct ends* ends) {
    struct port_table* table = port_table();
    if (!table) return REJECT;
    const bool loopback = packet->ifindex == LOOPBACK_IFINDEX;
    if ((loopback || packet->pkt_type == PACKET_OUTGOING) &&
        is_known(table, protocol, ends->source, ends->destination, ends->destination_address))
        return snaplen;
    if ((loopback || packet->pkt_type != PACKET_OUTGOING) &&
        is_known(table, protocol, ends->destination, ends->source, ends->source_address))
        return snaplen;
    return REJECT;
}

static __always_inline int judge_ipv4(const struct __sk_buff* packet) {
    struct {
        struct iphdr ip;
        struct transport_ports ports;
    } headers;
    // A packet without options in one go; a shorter one can only be a fragment.
    bool has_ports = true;
    if (bpf_skb_load_bytes(packet, 0, &headers, sizeof headers) != 0) {
        if (bpf_skb_load_bytes(packet, 0, &headers.ip, sizeof headers.ip) != 0) return REJECT;
        has_ports = false;
    }
    const bool fragment = headers.ip.frag_off & bpf_htons(ANY_FRAGMENT);
    const __u32 length = headers.ip.ihl * 4;
    if (icmp_errors && headers.ip.protocol == IPPROTO_ICMP && !fragment) {
        __u8 type;
        if (bpf_skb_load_bytes(packet, length, &type, sizeof type) != 0) return REJECT;
        return is_icmp_error(type) ? snaplen : REJECT;
    }
    if (!is_transport(headers.ip.protocol)) return REJECT;
    if (fragment) return snaplen;  // the first ones too, so that the fate of the later ones is known at once
    if (length != sizeof headers.ip)
        has_ports = bpf_skb_load_bytes(packet, length, &headers.ports, sizeof headers.ports) == 0;
    if (!has_ports) return REJECT;
    const struct ends ends = {bpf_ntohl(headers.ip.saddr), bpf_ntohl(headers.ip.daddr), bpf_ntohs(headers.ports.source),
                              bpf_ntohs(headers.ports.destination)};
    return judge(packet, headers.ip.protocol, &ends);
}

/// What follows the fixed header of an IPv6 packet is no transport. Its first byte is an extension header's "next
/// header", or an ICMPv6 type. A packet with extension headers passes, and the parser walks them, unless what follows
/// the first one shows that there are no ports: the kernel's own group reports (MLD) have one.
static __always_inline int judge_ipv6_other(const struct __sk_buff* packet, __u8 protocol) {
    const bool icmp = icmp_errors && protocol == IPPROTO_ICMPV6;
    __u8 first;
    if (!icmp && !is_extension_header(protocol)) return REJECT;
    if (bpf_skb_load_bytes(packet, sizeof(struct ipv6hdr), &first, sizeof first) != 0) return REJECT;
    if (icmp) return first < FIRST_ICMPV6_INFORMATION ? snaplen : REJECT;
    const bool may_have_ports =
        is_transport(first) || is_extension_header(first) || (icmp_errors && first == IPPROTO_ICMPV6);
    return may_have_ports ? snaplen : REJECT;
}

static __always_inline int judge_ipv6(const struct __sk_buff* packet) {
    struct {
        struct ipv6hdr ip;
        struct transport_ports ports;
    } headers;
    if (bpf_skb_load_bytes(packet, 0, &headers, sizeof headers) != 0) {
        if (bpf_skb_load_bytes(packet, 0, &headers.ip, sizeof headers.ip) != 0) return REJECT;
        return judge_ipv6_other(packet, headers.ip.nexthdr);
    }
    if (!is_transport(headers.ip.nexthdr)) return judge_ipv6_other(packet, headers.ip.nexthdr);
    const struct ends ends = {bpf_ntohl(headers.ip.saddr.s6_addr32[3]), bpf_ntohl(headers.ip.daddr.s6_addr32[3]),
                              bpf_ntohs(headers.ports.source), bpf_ntohs(headers.ports.destination)};
    return judge(packet, headers.ip.nexthdr, &ends);
}

SEC("socket")
int filter_packet(const struct __sk_buff* packet) {
    // What the loopback is given to send it will receive: one of the two is enough.
    if (packet->ifindex == LOOPBACK_IFINDEX && packet->pkt_type == PACKET_OUTGOING) return REJECT;
    switch (packet->protocol) {
        case bpf_htons(ETH_P_IP):
            return judge_ipv4(packet);
        case bpf_htons(ETH_P_IPV6):
            return judge_ipv6(packet);
        default:
            return REJECT;
    }
}

char LICENSE[] SEC("license") = "GPL";
