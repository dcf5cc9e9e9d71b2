/*
 * The allow-list of system calls: a common part and one for each need (enum sandbox_need).
 */
#include "config.h"

#include <seccomp.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/server/sandbox.h"

#define CALL(name) SCMP_SYS(name)
#define END_OF_CALLS __NR_SCMP_ERROR

/* Memory, time, signals, threads' locks, and work on descriptors that are open already. */
static const int common_calls[] = {CALL(read), CALL(readv), CALL(pread64), CALL(preadv), CALL(preadv2),
    CALL(write), CALL(writev), CALL(pwrite64), CALL(pwritev), CALL(pwritev2), CALL(close), CALL(close_range),
    CALL(lseek), CALL(fstat), CALL(fcntl), CALL(dup), CALL(dup2), CALL(dup3), CALL(fadvise64), CALL(sendfile),
    CALL(munmap), CALL(mremap), CALL(madvise), CALL(brk), CALL(futex), CALL(set_robust_list), CALL(rseq),
    CALL(membarrier), CALL(sched_yield), CALL(sched_getaffinity), CALL(getcpu), CALL(gettid), CALL(getpid),
    CALL(getppid), CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid), CALL(getgroups),
    CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep), CALL(nanosleep), CALL(gettimeofday),
    CALL(time), CALL(restart_syscall), CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn),
    CALL(sigaltstack), CALL(exit), CALL(exit_group), CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait),
    CALL(epoll_pwait), CALL(epoll_pwait2), CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6),
    CALL(eventfd2), CALL(pipe2), CALL(timerfd_create), CALL(timerfd_settime), CALL(recvmsg), CALL(recvfrom),
    CALL(recvmmsg), CALL(sendmsg), CALL(sendmmsg), CALL(getsockopt), CALL(setsockopt), CALL(getsockname),
    CALL(getpeername), CALL(shutdown), CALL(getrandom), CALL(uname), CALL(sysinfo), CALL(getrusage),
    CALL(umask), END_OF_CALLS};

static const int accept_calls[] = {CALL(accept), CALL(accept4), END_OF_CALLS};

static const int connect_calls[] = {CALL(connect), CALL(bind), END_OF_CALLS};

static const int file_calls[] = {CALL(stat), CALL(lstat), CALL(newfstatat), CALL(statx), CALL(statfs),
    CALL(fstatfs), CALL(access), CALL(faccessat), CALL(faccessat2), CALL(readlink), CALL(readlinkat),
    CALL(getdents64), CALL(getcwd), CALL(flock), CALL(readahead), CALL(inotify_add_watch), END_OF_CALLS};

static const int file_write_calls[] = {CALL(open), CALL(openat), CALL(creat), CALL(rename), CALL(renameat),
    CALL(renameat2), CALL(link), CALL(linkat), CALL(unlink), CALL(unlinkat), CALL(mkdir), CALL(mkdirat),
    CALL(rmdir), CALL(truncate), CALL(ftruncate), CALL(fsync), CALL(fdatasync), CALL(sync_file_range),
    CALL(syncfs), CALL(fallocate), CALL(fchmod), CALL(fchmodat), CALL(chmod), CALL(fchown), CALL(fchownat),
    CALL(utimensat), CALL(msync), CALL(copy_file_range), END_OF_CALLS};

static const int thread_calls[] = {CALL(set_tid_address), CALL(sched_setaffinity), CALL(setpriority),
    CALL(ioprio_set), CALL(sched_getparam), CALL(sched_getscheduler), END_OF_CALLS};

static const int sync_many_calls[] = {
    CALL(io_setup), CALL(io_submit), CALL(io_getevents), CALL(io_destroy), END_OF_CALLS};

static const int udp_calls[] = {CALL(sendto), CALL(connect), CALL(bind), END_OF_CALLS};

/* Only an attacker makes these. */
static const int deadly_calls[] = {CALL(ptrace), CALL(process_vm_readv), CALL(process_vm_writev), CALL(mount),
    CALL(umount2), CALL(pivot_root), CALL(chroot), CALL(unshare), CALL(setns), CALL(bpf),
    CALL(perf_event_open), CALL(userfaultfd), CALL(init_module), CALL(finit_module), CALL(kexec_load),
    CALL(io_uring_setup), CALL(mknod), CALL(mknodat), END_OF_CALLS};

/* The same, but for PAM's children and their modules. */
static const int process_calls[] = {CALL(execve), CALL(execveat), CALL(fork), CALL(vfork), CALL(keyctl),
    CALL(add_key), CALL(request_key), END_OF_CALLS};

/* Calls are allowed if one argument, masked, is exactly so. */
struct argument_rule {
	int call;
	unsigned argument;
	uint64_t mask, value;
	unsigned needs; /* all of these must be needed; 0: always */
	unsigned unless; /* none of these may be */
};

static const struct argument_rule argument_rules[] = {
    /* No memory is made executable after start. */
    {CALL(mmap), 2, PROT_EXEC, 0, 0, 0},
    {CALL(mprotect), 2, PROT_EXEC, 0, 0, 0},
    {CALL(newfstatat), 3, AT_EMPTY_PATH, AT_EMPTY_PATH, 0, SANDBOX_FILES | SANDBOX_FILES_WRITE},
    {CALL(ioctl), 1, 0xffffffff, FIONREAD, 0, 0},
    {CALL(ioctl), 1, 0xffffffff, FIONBIO, 0, 0},
    {CALL(prctl), 0, 0xffffffff, PR_SET_NAME, 0, 0},
    {CALL(prctl), 0, 0xffffffff, PR_GET_DUMPABLE, 0, 0},
    {CALL(prctl), 0, 0xffffffff, PR_GET_NO_NEW_PRIVS, 0, 0},
    /* glibc names its memory after some madvise()s; a refusal would do, but costs a call each time anyway. */
    {CALL(prctl), 0, 0xffffffff, 0x53564d41, 0, 0},
    /* Limits are read, not set. */
    {CALL(prlimit64), 2, UINT64_MAX, 0, 0, 0},
    /* send() on a connected socket; with an address only where datagrams are needed. */
    {CALL(sendto), 4, UINT64_MAX, 0, 0, SANDBOX_UDP},
    {CALL(openat), 2, O_ACCMODE | O_CREAT | O_TRUNC, 0, SANDBOX_FILES, SANDBOX_FILES_WRITE},
    {CALL(open), 1, O_ACCMODE | O_CREAT | O_TRUNC, 0, SANDBOX_FILES, SANDBOX_FILES_WRITE},
    /* libcurl wakes those who wait for its resolving thread by a pair. */
    {CALL(socketpair), 0, 0xffffffff, AF_UNIX, SANDBOX_CONNECT | SANDBOX_THREADS, 0},
    {CALL(clone), 0, CLONE_THREAD | CLONE_NEWUSER | CLONE_NEWNS, CLONE_THREAD, SANDBOX_THREADS, 0},
};

static const struct {
	unsigned need;
	int family;
	int type; /* 0: any */
} socket_rules[] = {
    {SANDBOX_CONNECT, AF_INET, SOCK_STREAM},
    {SANDBOX_CONNECT, AF_INET6, SOCK_STREAM},
    {SANDBOX_UDP, AF_INET, SOCK_DGRAM},
    {SANDBOX_UDP, AF_INET6, SOCK_DGRAM},
    {SANDBOX_UNIX_CONNECT, AF_UNIX, 0},
};

static int
add_calls(scmp_filter_ctx filter, uint32_t action, const int *calls)
{
	for (; *calls != END_OF_CALLS; calls++) {
		/* A call that this architecture does not have (a negative number) needs no rule. */
		if (*calls >= 0 && seccomp_rule_add(filter, action, *calls, 0) < 0)
			return -1;
	}
	return 0;
}

static int
add_argument_rules(scmp_filter_ctx filter, unsigned needs)
{
	for (size_t i = 0; i < sizeof(argument_rules) / sizeof(*argument_rules); i++) {
		const struct argument_rule *r = &argument_rules[i];

		if ((needs & r->needs) != r->needs || (needs & r->unless) != 0 || r->call < 0)
			continue;
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, r->call, 1,
			SCMP_CMP(r->argument, SCMP_CMP_MASKED_EQ, r->mask, r->value)) < 0)
			return -1;
	}
	/* abort() signals its own process alone. */
	return seccomp_rule_add(
	    filter, SCMP_ACT_ALLOW, CALL(tgkill), 1, SCMP_CMP(0, SCMP_CMP_EQ, (uint64_t)getpid()));
}

static int
add_sockets(scmp_filter_ctx filter, unsigned needs)
{
	for (size_t i = 0; i < sizeof(socket_rules) / sizeof(*socket_rules); i++) {
		int type = socket_rules[i].type;

		if (!(needs & socket_rules[i].need))
			continue;
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(socket), 2,
			SCMP_CMP(0, SCMP_CMP_EQ, (uint64_t)socket_rules[i].family),
			SCMP_CMP(1, SCMP_CMP_MASKED_EQ, type ? 0xf : 0, (uint64_t)type)) < 0)
			return -1;
	}
	return 0;
}

/* For SANDBOX_PAM, where all that is not refused is allowed: the logger, name services and audit are not the network. */
static int
refuse_network(scmp_filter_ctx filter)
{
	const uint32_t refusal = SCMP_ACT_ERRNO(EAFNOSUPPORT);

	for (uint64_t family = 0; family < AF_MAX; family++) {
		if (family != AF_UNIX && family != AF_NETLINK &&
		    seccomp_rule_add(filter, refusal, CALL(socket), 1, SCMP_CMP(0, SCMP_CMP_EQ, family)) < 0)
			return -1;
	}
	return seccomp_rule_add(filter, refusal, CALL(socket), 1, SCMP_CMP(0, SCMP_CMP_GE, (uint64_t)AF_MAX));
}

static int
add_all(scmp_filter_ctx filter, unsigned needs)
{
	static const struct {
		unsigned need;
		const int *calls;
	} groups[] = {
	    {SANDBOX_ACCEPT, accept_calls},
	    {SANDBOX_CONNECT, connect_calls},
	    {SANDBOX_UNIX_CONNECT, connect_calls},
	    {SANDBOX_FILES, file_calls},
	    {SANDBOX_FILES_WRITE, file_calls},
	    {SANDBOX_FILES_WRITE, file_write_calls},
	    {SANDBOX_THREADS, thread_calls},
	    {SANDBOX_UDP, udp_calls},
	    {SANDBOX_SYNC_MANY, sync_many_calls},
	};

	if (add_calls(filter, SCMP_ACT_KILL_PROCESS, process_calls) < 0 ||
	    add_calls(filter, SCMP_ACT_ALLOW, common_calls) < 0 || add_argument_rules(filter, needs) < 0 ||
	    add_sockets(filter, needs) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		if ((needs & groups[i].need) && add_calls(filter, SCMP_ACT_ALLOW, groups[i].calls) < 0)
			return -1;
	}
	/* Its flags lie in memory, where no filter sees them; without it glibc uses clone. */
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
}

int
sandbox_seccomp(unsigned needs, struct error *err)
{
	scmp_filter_ctx filter = seccomp_init(needs & SANDBOX_PAM ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM));
	int result = -1;

	if (filter == NULL)
		return error_set(err, "seccomp_init failed");
#ifdef WITH_SANITIZERS
	/* The sanitizers want much that the programs do not: only what must never be is refused. */
	seccomp_reset(filter, SCMP_ACT_ALLOW);
	if (seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, CALL(mount), 0) == 0 &&
	    (needs & SANDBOX_PAM || seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, CALL(execve), 0) == 0))
		result = 0;
	(void)add_all;
	(void)refuse_network;
	(void)deadly_calls;
#else
	if (add_calls(filter, SCMP_ACT_KILL_PROCESS, deadly_calls) == 0 &&
	    (needs & SANDBOX_PAM ? refuse_network(filter) : add_all(filter, needs)) == 0)
		result = 0;
#endif
	/* A tree instead of a list: hot calls are found in a few steps. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (result < 0)
		error_set(err, "the seccomp filter cannot be made");
	else if (seccomp_load(filter) < 0)
		result = error_errno(err, "seccomp_load");
	seccomp_release(filter);
	return result;
}
