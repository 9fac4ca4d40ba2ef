// A client or server all of whose network calls but socket(2) go through an io_uring. It says what it has done in a
// line each, and waits for a line on standard input before it does more.
//   ring client IPV4 PORT    connects; sends "hello", prints the answer and closes
//   ring direct IPV4 PORT    the same with a socket that the ring alone has, as a direct descriptor
//   ring server PORT         binds and listens; accepts one connection, sends back what it gets and closes
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// Since Linux 6.11; not in Debian 12's header.
enum { OP_BIND = 56, OP_LISTEN = 57 };
enum { OP_SOCKET = 45 };  // since 5.19

static struct io_uring ring;
static unsigned fixed;  // the flag of entries on a direct descriptor
static struct io_uring_sqe* latest;

static struct io_uring_sqe* next_entry(void) { return latest = io_uring_get_sqe(&ring); }

static int done(const char* what) {
    struct io_uring_cqe* completion;
    latest->flags |= (unsigned char)fixed;
    io_uring_submit(&ring);
    io_uring_wait_cqe(&ring, &completion);
    int result = completion->res;
    io_uring_cqe_seen(&ring, completion);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(-result));
        exit(1);
    }
    return result;
}

static int direct_socket(void) {
    int slots[2] = {-1, -1};
    if (io_uring_register_files(&ring, slots, 2) != 0) exit(1);
    const unsigned later = fixed;
    fixed = 0;
    io_uring_prep_rw(OP_SOCKET, next_entry(), AF_INET, NULL, 0, SOCK_STREAM);
    latest->file_index = 1 + 1;  // slot 1
    done("socket");
    fixed = later;
    return 1;
}

static void say_and_wait(const char* what) {
    char line[16];
    puts(what);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) exit(1);
}

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    if (io_uring_queue_init(8, &ring, 0) != 0) return 1;
    int server = strcmp(argv[1], "server") == 0, direct = strcmp(argv[1], "direct") == 0;
    fixed = direct ? IOSQE_FIXED_FILE : 0;
    int fd = direct ? direct_socket() : socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[argc - 1]))};
    char data[100] = "hello";
    if (server) {
        struct io_uring_sqe* entry = next_entry();
        io_uring_prep_rw(OP_BIND, entry, fd, &address, 0, sizeof address);
        done("bind");
        entry = next_entry();
        io_uring_prep_rw(OP_LISTEN, entry, fd, NULL, 16, 0);
        done("listen");
        say_and_wait("listening");
        io_uring_prep_accept(next_entry(), fd, NULL, NULL, 0);
        fd = done("accept");
    } else {
        inet_pton(AF_INET, argv[2], &address.sin_addr);
        io_uring_prep_connect(next_entry(), fd, (struct sockaddr*)&address, sizeof address);
        done("connect");
        say_and_wait("connected");
        io_uring_prep_send(next_entry(), fd, data, strlen(data), 0);
        done("send");
    }
    io_uring_prep_recv(next_entry(), fd, data, sizeof data, 0);
    int length = done("recv");
    printf("%.*s\n", length, data);
    if (server) {
        io_uring_prep_send(next_entry(), fd, data, (size_t)length, 0);
        done("send");
    }
    io_uring_prep_close(next_entry(), fd);
    if (direct) {
        fixed = 0;
        latest->fd = 0;
        latest->file_index = (unsigned)fd + 1;
    }
    done("close");
    return 0;
}
