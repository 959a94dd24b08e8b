/* server: the program in the test's image, linked statically: answers with what it sees. GET /CODE?ARGUMENT:
 *
 *     env, id, cwd, args, pid       as JSON
 *     read, list, write, stat       a file (write: PATH=TEXT), or why it cannot
 *     ping                          HOST:PORT: what a Redis answers
 *     eat, spin                     so many MiB of memory; so many ms of CPU time
 *     say                           a line to standard output, and to standard error
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static char **arguments;
static char answer[1 << 20];
static size_t used;

static void add(const char *text)
{
    for (; *text != '\0' && used + 8 < sizeof answer; text++) {
        if (*text == '"' || *text == '\\')
            answer[used++] = '\\';
        if (*text == '\n' || *text == '\t')
            used += (size_t)sprintf(answer + used, *text == '\n' ? "\\n" : "\\t");
        else if (*text == '\r')
            used += (size_t)sprintf(answer + used, "\\r");
        else
            answer[used++] = *text;
    }
}

static void raw(const char *text)
{
    used += (size_t)snprintf(answer + used, sizeof answer - used, "%s", text);
}

static void words(char **list)
{
    raw("[");
    for (size_t i = 0; list[i] != NULL; i++) {
        raw(i > 0 ? ",\"" : "\"");
        add(list[i]);
        raw("\"");
    }
    raw("]");
}

static void quoted(const char *text)
{
    raw("\"");
    add(text);
    raw("\"");
}

static void read_file(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "r");
    size_t len = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    text[len] = '\0';
    quoted(file != NULL ? text : strerror(errno));
    if (file != NULL)
        fclose(file);
}

static void write_file(char *argument)
{
    char *text = strchr(argument, '=');
    if (text == NULL)
        return;
    *text++ = '\0';
    FILE *file = fopen(argument, "w");
    bool ok = file != NULL && fputs(text, file) >= 0;
    ok = file != NULL && fclose(file) == 0 && ok;
    quoted(ok ? "written" : strerror(errno));
}

static void list_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    const char *separator = "";
    raw("[");
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        raw(separator);
        quoted(entry->d_name);
        separator = ",";
    }
    raw("]");
    if (folder != NULL)
        closedir(folder);
}

static void about(const char *path)
{
    struct stat stat_;
    char text[128];
    if (stat(path, &stat_) != 0) {
        quoted(strerror(errno));
        return;
    }
    snprintf(text, sizeof text, "[%o,%u,%u,%lld]", (unsigned)stat_.st_mode & 07777, stat_.st_uid, stat_.st_gid,
             (long long)stat_.st_mtime);
    quoted(text);
}

static void ping(char *argument)
{
    char *port = strchr(argument, ':'), text[64] = "";
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (port == NULL)
        return;
    *port++ = '\0';
    inet_pton(AF_INET, argument, &to.sin_addr);
    to.sin_port = htons((unsigned short)atoi(port));
    bool ok = connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && write(fd, "PING\r\n", 6) == 6 &&
              read(fd, text, sizeof text - 1) > 0;
    quoted(ok ? text : strerror(errno));
    close(fd);
}

static void spin(long ms)
{
    struct timespec now;
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < ms);
}

static void act(const char *code, char *argument)
{
    char text[4096];
    if (strcmp(code, "env") == 0) {
        words(environ);
    } else if (strcmp(code, "args") == 0) {
        words(arguments);
    } else if (strcmp(code, "id") == 0) {
        snprintf(text, sizeof text, "[%u,%u]", getuid(), getgid());
        raw(text);
    } else if (strcmp(code, "pid") == 0) {
        snprintf(text, sizeof text, "%d", getpid());
        raw(text);
    } else if (strcmp(code, "cwd") == 0) {
        quoted(getcwd(text, sizeof text) != NULL ? text : strerror(errno));
    } else if (strcmp(code, "read") == 0) {
        read_file(argument);
    } else if (strcmp(code, "list") == 0) {
        list_folder(argument);
    } else if (strcmp(code, "write") == 0) {
        write_file(argument);
    } else if (strcmp(code, "stat") == 0) {
        about(argument);
    } else if (strcmp(code, "ping") == 0) {
        ping(argument);
    } else if (strcmp(code, "eat") == 0) {
        size_t size = (size_t)atol(argument) << 20;
        volatile char *memory = malloc(size);
        for (size_t i = 0; memory != NULL && i < size; i += 4096)
            memory[i] = 1;
        raw("true");
    } else if (strcmp(code, "spin") == 0) {
        spin(atol(argument));
        raw("true");
    } else if (strcmp(code, "say") == 0) {
        printf("said %s\n", argument);
        fprintf(stderr, "complained %s\n", argument);
        raw("true");
    } else {
        raw("null");
    }
}

/* %XX and + are as a browser writes them. */
static void decode(char *text)
{
    char *to = text, hex[3] = "";
    for (; *text != '\0'; text++) {
        if (*text == '%' && text[1] != '\0' && text[2] != '\0') {
            memcpy(hex, text + 1, 2);
            *to++ = (char)strtol(hex, NULL, 16);
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
}

static void serve(int client)
{
    static char request[16384];
    char code[64] = "", argument[8192] = "", head[128];
    size_t len = 0;
    ssize_t got;
    while (len < sizeof request - 1 && (got = read(client, request + len, sizeof request - 1 - len)) > 0) {
        len += (size_t)got;
        request[len] = '\0';
        if (strstr(request, "\r\n\r\n") != NULL)
            break;
    }
    sscanf(request, "GET /%63[a-z]?%8191[^ ]", code, argument);
    decode(argument);
    used = 0;
    act(code, argument);
    int head_len = snprintf(head, sizeof head,
                            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                            "Connection: close\r\n\r\n",
                            used);
    bool ok = write(client, head, (size_t)head_len) >= 0 && write(client, answer, used) >= 0;
    (void)ok; /* a probe has gone by now */
    close(client);
}

static void on_term(int number)
{
    static const char text[] = "the server got SIGTERM\n";
    if (getenv("STUBBORN") != NULL)
        return;
    if (write(1, text, sizeof text - 1) < 0)
        _exit(1);
    _exit(0);
}

int main(int argc, char **argv)
{
    const char *port = getenv("PORT");
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    arguments = argv;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGTERM, on_term);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    here.sin_port = htons((unsigned short)atoi(port != NULL ? port : "8080"));
    if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 64) != 0) {
        perror("listen");
        return 1;
    }
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client >= 0)
            serve(client);
    }
}
