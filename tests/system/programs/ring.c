// A client or server all of whose network calls go through an io_uring. It says what it has done in a line each, and
// waits for a line on standard input before it does more.
//   ring [direct] [sqpoll] client IPV4 PORT       connects; sends "hello", prints the answer and closes
//   ring [direct] [sqpoll] server PORT            binds and listens; accepts one connection, sends back what it gets
//   ring [direct] [sqpoll] datagrams IPV4 PORT    to an address from an unbound socket, and from a connected one
// direct: its sockets are in the ring's own table and have no descriptor. sqpoll: a thread of the kernel submits.
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// Since Linux 6.11; not in Debian 12's header.
enum { OP_BIND = 56, OP_LISTEN = 57 };

static struct io_uring ring;
static int direct;

static struct io_uring_sqe* next(void) {
    struct io_uring_sqe* entry = io_uring_get_sqe(&ring);
    if (!entry) exit(1);
    return entry;
}

/// Submits `entry`, which is about a socket, and returns its result.
static int done(const char* what, struct io_uring_sqe* entry, int on_socket) {
    struct io_uring_cqe* completion;
    if (direct && on_socket) entry->flags |= IOSQE_FIXED_FILE;
    io_uring_submit(&ring);
    if (io_uring_wait_cqe(&ring, &completion) != 0) exit(1);
    int result = completion->res;
    io_uring_cqe_seen(&ring, completion);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(-result));
        exit(1);
    }
    return result;
}

/// A socket: a descriptor, or a place in the ring's table.
static int open_socket(int type, int place) {
    struct io_uring_sqe* entry = next();
    if (!direct) {
        io_uring_prep_socket(entry, AF_INET, type, 0, 0);
        return done("socket", entry, 0);
    }
    io_uring_prep_socket_direct(entry, AF_INET, type, 0, (unsigned)place, 0);
    done("socket", entry, 0);
    return place;
}

static void close_socket(int fd) {
    struct io_uring_sqe* entry = next();
    if (direct)
        io_uring_prep_close_direct(entry, (unsigned)fd);
    else
        io_uring_prep_close(entry, fd);
    done("close", entry, 0);
}

static void connect_to(int fd, const struct sockaddr_in* address) {
    struct io_uring_sqe* entry = next();
    io_uring_prep_connect(entry, fd, (const struct sockaddr*)address, sizeof *address);
    done("connect", entry, 1);
}

static void send_all(int fd, const char* data, size_t length) {
    struct io_uring_sqe* entry = next();
    io_uring_prep_send(entry, fd, data, length, 0);
    done("send", entry, 1);
}

static int receive(int fd, char* data, size_t size) {
    struct io_uring_sqe* entry = next();
    io_uring_prep_recv(entry, fd, data, size, 0);
    return done("recv", entry, 1);
}

static void say_and_wait(const char* what) {
    char line[16];
    puts(what);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) exit(1);
}

static void client(const struct sockaddr_in* address) {
    char data[100];
    int fd = open_socket(SOCK_STREAM, 0);
    connect_to(fd, address);
    say_and_wait("connected");
    send_all(fd, "hello", 5);
    printf("%.*s\n", receive(fd, data, sizeof data), data);
    close_socket(fd);
}

static void server(const struct sockaddr_in* address) {
    char data[100];
    int listener = open_socket(SOCK_STREAM, 0);
    struct io_uring_sqe* entry = next();
    io_uring_prep_rw(OP_BIND, entry, listener, address, 0, sizeof *address);
    done("bind", entry, 1);
    entry = next();
    io_uring_prep_rw(OP_LISTEN, entry, listener, NULL, 16, 0);
    done("listen", entry, 1);
    say_and_wait("listening");
    entry = next();
    if (direct)
        io_uring_prep_accept_direct(entry, listener, NULL, NULL, 0, 1);
    else
        io_uring_prep_accept(entry, listener, NULL, NULL, 0);
    int accepted = done("accept", entry, 1);
    int fd = direct ? 1 : accepted;
    int length = receive(fd, data, sizeof data);
    printf("%.*s\n", length, data);
    send_all(fd, data, (size_t)length);
    close_socket(fd);
    close_socket(listener);
}

static void datagrams(struct sockaddr_in* address) {
    char data[100];
    struct iovec part = {"to an address", 13};
    struct msghdr message = {.msg_name = address, .msg_namelen = sizeof *address, .msg_iov = &part, .msg_iovlen = 1};
    int unbound = open_socket(SOCK_DGRAM, 0), connected = open_socket(SOCK_DGRAM, 1);
    struct io_uring_sqe* entry = next();
    io_uring_prep_sendmsg(entry, unbound, &message, 0);
    done("sendmsg", entry, 1);
    printf("%.*s\n", receive(unbound, data, sizeof data), data);
    connect_to(connected, address);
    send_all(connected, "connected", 9);
    printf("%.*s\n", receive(connected, data, sizeof data), data);
    close_socket(unbound);
    close_socket(connected);
}

int main(int argc, char** argv) {
    unsigned flags = 0;
    for (; argc > 1; --argc, ++argv) {
        if (strcmp(argv[1], "direct") == 0)
            direct = 1;
        else if (strcmp(argv[1], "sqpoll") == 0)
            flags |= IORING_SETUP_SQPOLL;
        else
            break;
    }
    if (argc < 3) return 2;
    if (io_uring_queue_init(8, &ring, flags) != 0 || (direct && io_uring_register_files_sparse(&ring, 4) != 0))
        return 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[argc - 1]))};
    inet_pton(AF_INET, argv[2], &address.sin_addr);
    if (strcmp(argv[1], "server") == 0) {
        address.sin_addr.s_addr = htonl(INADDR_ANY);
        server(&address);
    } else if (strcmp(argv[1], "client") == 0) {
        client(&address);
    } else {
        datagrams(&address);
    }
    return 0;
}
