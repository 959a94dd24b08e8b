/* test_confine: a child that has given up what it does not need still reads, writes and takes memory, up to its bound,
 * and nothing else works. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/confine.h"

enum { MEMORY_BYTES_MAX = 256 << 20 };

/* Sanitizers take the limits away. */
#if defined(__SANITIZE_ADDRESS__)
enum { IS_SANITIZED = true };
#else
enum { IS_SANITIZED = false };
#endif

/* One letter for each thing that worked. */
static void attempts(int parent, char *worked)
{
    size_t at = 0;
    void *executable = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *large = mmap(NULL, (size_t)2 * MEMORY_BYTES_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *some = malloc(MEMORY_BYTES_MAX / 8);
    char byte;
    if (open("/etc/passwd", O_RDONLY) >= 0)
        worked[at++] = 'o';
    if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0)
        worked[at++] = 's';
    if (kill(parent, 0) == 0)
        worked[at++] = 'k';
    if (execl("/bin/true", "true", NULL) == 0)
        worked[at++] = 'e';
    if (executable != MAP_FAILED)
        worked[at++] = 'x';
    if (large != MAP_FAILED)
        worked[at++] = 'l';
    if (fork() >= 0)
        worked[at++] = 'f';
    if (setuid(0) == 0 && getuid() == 0)
        worked[at++] = 'u';
    if (read(3, &byte, 1) >= 0)
        worked[at++] = '3';
    if (read(STDIN_FILENO, &byte, 1) == 1)
        worked[at++] = 'R';
    if (some != NULL)
        worked[at++] = 'M';
    worked[at] = '\0';
    free(some);
}

static void test_what_is_left(void **state)
{
    int output[2], input[2], status;
    char worked[32] = "";
    if (IS_SANITIZED)
        skip();
    assert_int_equal(pipe(output) | pipe(input), 0);
    assert_int_equal(write(input[1], "x", 1), 1);
    int parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        dup2(input[0], STDIN_FILENO);
        dup2(output[1], STDOUT_FILENO);
        confine(MEMORY_BYTES_MAX);
        attempts(parent, worked);
        _exit(write(STDOUT_FILENO, worked, sizeof worked) != sizeof worked);
    }
    close(output[1]);
    if (read(output[0], worked, sizeof worked) != sizeof worked)
        fail_msg("it has become another program");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_string_equal(worked, "RM");
}

/* A limit of a file's bytes ends what writes to one; a pipe is none. */
static void test_no_file_is_written(void **state)
{
    char name[] = "/tmp/sennit-confine-XXXXXX";
    int file = mkstemp(name), status;
    assert_true(file >= 0 && unlink(name) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(file, STDOUT_FILENO);
        confine(MEMORY_BYTES_MAX);
        signal(SIGXFSZ, SIG_IGN);
        _exit(write(STDOUT_FILENO, "x", 1) == 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_left), cmocka_unit_test(test_no_file_is_written)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
