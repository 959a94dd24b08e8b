/* listening: reads /proc/net/tcp and tcp6 (proc(5)), and finds the owners of sockets by their inodes. */
#include "loop/listening.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { SOCKETS_MAX = 4096, TCP_LISTEN = 0x0A, TCP_ESTABLISHED = 0x01, LINE_BYTES = 512, PEER_LOOKS = 3 };

struct listener {
    uint64_t inode;
    uint16_t port;
    bool loopback;
};

static bool is_loopback(const char *address)
{
    /* Words of four bytes in this machine's order: 127.x.x.x, ::1, ::ffff:127.x.x.x. */
    size_t len = strlen(address);
    if (len == 8)
        return strcmp(address + 6, "7F") == 0;
    return strcmp(address, "00000000000000000000000001000000") == 0 ||
           (strncmp(address, "0000000000000000FFFF0000", 24) == 0 && strcmp(address + 30, "7F") == 0);
}

static bool line_read(const char *line, struct listener *listener)
{
    char address[64];
    unsigned port, state;
    if (sscanf(line, "%*d: %63[0-9A-F]:%x %*s %x %*s %*s %*s %*u %*u %" SCNu64, address, &port, &state,
               &listener->inode) != 4 ||
        state != TCP_LISTEN)
        return false;
    listener->port = (uint16_t)port;
    listener->loopback = is_loopback(address);
    return true;
}

static size_t table_read(const char *path, struct listener *listeners, size_t count)
{
    char line[LINE_BYTES];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return count;
    while (count < SOCKETS_MAX && fgets(line, sizeof line, file) != NULL)
        count += line_read(line, &listeners[count]);
    fclose(file);
    return count;
}

/* All listeners in the network of this process; the caller frees them. */
static struct listener *read_all(pid_t pid, size_t *count)
{
    struct listener *listeners = mem_zero(SOCKETS_MAX, sizeof *listeners);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/net/tcp", (int)pid);
    *count = table_read(path, listeners, 0);
    snprintf(path, sizeof path, "/proc/%d/net/tcp6", (int)pid);
    *count = table_read(path, listeners, *count);
    return listeners;
}

enum listening listening_on(pid_t pid, uint16_t port)
{
    enum listening where = LISTENING_NOT;
    size_t count;
    struct listener *listeners = read_all(pid, &count);
    for (size_t i = 0; i < count; i++) {
        if (listeners[i].port != port)
            continue;
        if (!listeners[i].loopback)
            where = LISTENING_OTHERS;
        else if (where == LISTENING_NOT)
            where = LISTENING_LOOPBACK;
    }
    free(listeners);
    return where;
}

/* A connection whose owner is gone has the inode 0, and is nobody's. */
static bool peer_find(const char *path, uint16_t peer_port, uint16_t port)
{
    char line[LINE_BYTES], address[64];
    bool found = false;
    FILE *file = fopen(path, "re");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        unsigned local, remote, state, uid;
        uint64_t inode;
        found = sscanf(line, "%*d: %63[0-9A-F]:%x %*[0-9A-F]:%x %x %*s %*s %*s %u %*u %" SCNu64, address, &local,
                       &remote, &state, &uid, &inode) == 6 &&
                local == peer_port && remote == port && state == TCP_ESTABLISHED && inode != 0 &&
                is_loopback(address) && (uid == geteuid() || uid == 0);
    }
    if (file != NULL)
        fclose(file);
    return found;
}

bool listening_peer_is_own(uint16_t peer_port, uint16_t port)
{
    /* The kernel prints the table page by page, and a page may lack a line where others come and go meanwhile. */
    for (int i = 0; i < PEER_LOOKS; i++)
        if (peer_find("/proc/net/tcp", peer_port, port) || peer_find("/proc/net/tcp6", peer_port, port))
            return true;
    return false;
}

/* The inode of a socket that a link of /proc/PID/fd names; 0: it is none. */
static uint64_t inode_of(int folder, const char *name)
{
    char target[64];
    uint64_t inode;
    ssize_t len = readlinkat(folder, name, target, sizeof target - 1);
    if (len < 0)
        return 0;
    target[len] = '\0';
    return sscanf(target, "socket:[%" SCNu64 "]", &inode) == 1 ? inode : 0;
}

static size_t port_add(uint16_t *ports, size_t count, size_t max, uint16_t port)
{
    for (size_t i = 0; i < count; i++)
        if (ports[i] == port)
            return count;
    if (count < max)
        ports[count++] = port;
    return count;
}

static size_t process_ports(pid_t pid, const struct listener *listeners, size_t listener_count, uint16_t *ports,
                            size_t count, size_t max)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return count;
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        uint64_t inode = inode_of(dirfd(folder), entry->d_name);
        for (size_t i = 0; inode != 0 && i < listener_count; i++)
            if (listeners[i].inode == inode)
                count = port_add(ports, count, max, listeners[i].port);
    }
    closedir(folder);
    return count;
}

size_t listening_ports(pid_t group, uint16_t *ports, size_t max)
{
    size_t count = 0, listener_count;
    struct listener *listeners = read_all(group, &listener_count);
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && getpgid(pid) == group)
            count = process_ports(pid, listeners, listener_count, ports, count, max);
    }
    if (processes != NULL)
        closedir(processes);
    free(listeners);
    return count;
}
