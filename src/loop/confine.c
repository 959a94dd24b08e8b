/* confine: limits (setrlimit(2)), another user, and a list of system calls (seccomp(2)). A call that is not on the list
 * fails with EPERM and ends nothing: the C library tries a few that it can do without. */
#include "loop/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { HAS_FILTER = true, OUR_ARCHITECTURE = AUDIT_ARCH_X86_64 };
#elif defined(__aarch64__)
enum { HAS_FILTER = true, OUR_ARCHITECTURE = AUDIT_ARCH_AARCH64 };
#else
enum { HAS_FILTER = false, OUR_ARCHITECTURE = 0 };
#endif

/* A sanitizer needs terabytes of addresses, and looks around in /proc. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_SANITIZED = true };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
enum { IS_SANITIZED = true };
#else
enum { IS_SANITIZED = false };
#endif
#else
enum { IS_SANITIZED = false };
#endif

enum { NOBODY = 65534, FIRST_FREE = 3 };

/* What reading, writing, memory and an end take; of memory, none that is executed. */
static const unsigned allowed[] = {SYS_read,           SYS_pread64,      SYS_write,  SYS_lseek,     SYS_brk,
                                   SYS_mmap,           SYS_munmap,       SYS_mremap, SYS_madvise,   SYS_futex,
                                   SYS_clock_gettime,  SYS_getrandom,    SYS_getpid, SYS_gettid,    SYS_rt_sigaction,
                                   SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_exit,   SYS_exit_group};
enum { ALLOWED = sizeof allowed / sizeof allowed[0] };

static void limit(int which, rlim_t most)
{
    const struct rlimit both = {most, most};
    (void)setrlimit(which, &both);
}

static void user_drop(void)
{
    if (geteuid() != 0)
        return;
    (void)setgroups(0, NULL);
    /* A user namespace may not have that number. Then the rest must do. */
    if (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0)
        return;
}

/* mmap and mprotect are where a hostile layer would make its bytes executable: mprotect is not on the list, and
 * mmap's third argument must not have PROT_EXEC. */
static void calls_limit(void)
{
    enum { PROTECTION_EXECUTE = 4, ARGUMENT = offsetof(struct seccomp_data, args) + 2 * sizeof(uint64_t) };
    struct sock_filter program[2 * ALLOWED + 8];
    unsigned short at = 0;
    program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCHITECTURE, 1, 0);
    program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < ALLOWED; i++) {
        if (allowed[i] == SYS_mmap)
            continue;
        program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3);
    program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT);
    program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROTECTION_EXECUTE, 1, 0);
    program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    const struct sock_fprog filter = {at, program};
    (void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

void confine(size_t memory_bytes_max)
{
    user_drop();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* behind the change of user, with which the kernel forgets it */
    (void)syscall(SYS_close_range, FIRST_FREE, ~0U, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)prctl(PR_SET_DUMPABLE, 0);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0); /* a pipe is no file */
    if (IS_SANITIZED)
        return;
    limit(RLIMIT_NOFILE, FIRST_FREE);
    limit(RLIMIT_NPROC, 0);
    limit(RLIMIT_AS, memory_bytes_max);
    if (HAS_FILTER)
        calls_limit();
}
