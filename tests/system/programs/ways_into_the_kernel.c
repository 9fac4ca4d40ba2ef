// Connects by system calls that the C library does not make. Each connection sends a byte and closes. As a 32-bit
// program: through socketcall(2), whose arguments lie in memory. As a 64-bit one: by syscall(2) itself, and by the
// 32-bit entry int 0x80, which 64-bit programs have too.
//   ways_into_the_kernel IPV4 PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void must(long result, const char* what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static void talk_and_close(int fd) {
    must(write(fd, "x", 1), "write");
    close(fd);
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    // Below 4 GiB, where 32-bit calls can reach it.
    struct sockaddr_in* to = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    must(to == MAP_FAILED ? -1 : 0, "mmap");
    to->sin_family = AF_INET;
    to->sin_port = htons((unsigned short)atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &to->sin_addr);
#if defined(__i386__)
    long socket_arguments[] = {AF_INET, SOCK_STREAM, 0};
    const int fd = (int)syscall(SYS_socketcall, 1, socket_arguments);
    must(fd, "socket through socketcall");
    long arguments[] = {fd, (long)to, sizeof *to};
    must(syscall(SYS_socketcall, 3, arguments), "connect through socketcall");
    talk_and_close(fd);
    const int udp = socket(AF_INET, SOCK_DGRAM, 0);
    long send_arguments[] = {udp, (long)argv[2], 4, 0, (long)to, sizeof *to};
    must(syscall(SYS_socketcall, 11, send_arguments), "sendto through socketcall");
    char data[16];
    must(recv(udp, data, sizeof data, 0), "recv");
#elif defined(__x86_64__)
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(syscall(SYS_connect, fd, to, sizeof *to), "connect");
    talk_and_close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    long result;
    // 362: connect, as i386 numbers it.
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(362L), "b"((long)fd), "c"((long)to), "d"((long)sizeof *to)
                     : "memory", "r8", "r9", "r10", "r11");
    must(result, "connect by int 0x80");
    talk_and_close(fd);
#endif
    return 0;
}
