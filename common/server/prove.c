/*
 * "ROLE --prove-sandbox QUEUE_DIRECTORY": closes the role's own sandbox in one child after the other and tries in each
 * what the role must not be able to do. Prints a line for each; the status is 0 if all were refused.
 */
#include "config.h"

#include "common/server/prove.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/server/sandbox.h"

/* What an attempt has at hand: it was opened before the sandbox closed, as a leaked descriptor would be. */
struct reach {
	const struct sandbox_spec *spec;
	int root_fd; /* of the host's / */
	pid_t victim; /* a process of the same user */
};

enum { REFUSED, SUCCEEDED, BROKEN };

static int
refused_if(bool failed)
{
	return failed ? REFUSED : SUCCEEDED;
}

static int
try_read(const struct reach *r)
{
	return refused_if(openat(r->root_fd, "etc/passwd", O_RDONLY) < 0);
}

static int
try_write(const struct reach *r)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "tmp/postern-proof-%d", (int)getpid());
	fd = openat(r->root_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd >= 0)
		unlinkat(r->root_fd, name, 0);
	return refused_if(fd < 0);
}

static int
try_list(const struct reach *r)
{
	return refused_if(openat(r->root_fd, "proc/self/fd", O_RDONLY | O_DIRECTORY) < 0);
}

static int
try_exec(const struct reach *r)
{
	char name[] = "false", *argv[] = {name, NULL}, *envp[] = {NULL};

	(void)r;
	execve("/bin/false", argv, envp);
	return REFUSED;
}

static int
try_inet(const struct reach *r)
{
	struct sockaddr_in to = {
	    .sin_family = AF_INET, .sin_port = htons(25), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)r;
	if (fd < 0 || (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != ECONNREFUSED))
		return REFUSED;
	return SUCCEEDED;
}

static int
try_udp(const struct reach *r)
{
	(void)r;
	return refused_if(socket(AF_INET, SOCK_DGRAM, 0) < 0);
}

static int
try_unix(const struct reach *r)
{
	(void)r;
	return refused_if(socket(AF_UNIX, SOCK_STREAM, 0) < 0);
}

static int
try_raw(const struct reach *r)
{
	(void)r;
	return refused_if(socket(AF_PACKET, SOCK_RAW, 0) < 0 && socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0);
}

static int
try_netlink(const struct reach *r)
{
	(void)r;
	return refused_if(socket(AF_NETLINK, SOCK_RAW, 0) < 0);
}

static int
try_low_port(const struct reach *r)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(1)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)r;
	return refused_if(fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0);
}

static int
try_root(const struct reach *r)
{
	(void)r;
	return refused_if(setuid(0) < 0 && setresuid(0, 0, 0) < 0 && setgid(0) < 0);
}

static int
try_ptrace(const struct reach *r)
{
	return refused_if(ptrace(PTRACE_ATTACH, r->victim, NULL, NULL) < 0);
}

static int
try_signal(const struct reach *r)
{
	return refused_if(kill(r->victim, 0) < 0);
}

static int
try_fork(const struct reach *r)
{
	pid_t pid = fork();

	(void)r;
	if (pid == 0)
		_exit(0);
	return refused_if(pid < 0);
}

static int
try_mount(const struct reach *r)
{
	(void)r;
	return refused_if(mount("none", "/", "tmpfs", 0, NULL) < 0);
}

static int
try_chroot(const struct reach *r)
{
	return refused_if(fchdir(r->root_fd) < 0 || chroot(".") < 0);
}

static int
try_executable_memory(const struct reach *r)
{
	(void)r;
	/* As a number, for mmap(2) itself is not what is tried: PROT_READ | PROT_WRITE | PROT_EXEC, private, anonymous. */
	return refused_if(syscall(SYS_mmap, 0, 4096, 7, 0x22, -1, 0) < 0);
}

static int
try_namespace(const struct reach *r)
{
	(void)r;
	/* CLONE_NEWUSER */
	return refused_if(syscall(SYS_unshare, 0x10000000) < 0);
}

static int
try_core(const struct reach *r)
{
	return refused_if(prctl(PR_GET_DUMPABLE) == 0 || r->spec->dumpable);
}

static int
try_privileges(const struct reach *r)
{
	(void)r;
	return refused_if(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

/* In what case the spec permits it: then it is not tried. */
static const struct attempt {
	const char *name;
	int (*make)(const struct reach *r);
	unsigned permitted_by;
} attempts[] = {
    {"read a file", try_read, SANDBOX_FORK_AS_USER | SANDBOX_PAM},
    {"write a file", try_write, SANDBOX_FORK_AS_USER | SANDBOX_PAM},
    {"see its descriptors in /proc", try_list, SANDBOX_FORK_AS_USER | SANDBOX_PAM},
    {"exec", try_exec, SANDBOX_FORK_AS_USER | SANDBOX_PAM},
    {"connect over TCP", try_inet, SANDBOX_CONNECT | SANDBOX_FORK_AS_USER},
    {"open a UDP socket", try_udp, SANDBOX_UDP | SANDBOX_FORK_AS_USER},
    {"open a UNIX socket", try_unix, SANDBOX_UNIX_CONNECT | SANDBOX_FORK_AS_USER | SANDBOX_PAM},
    {"open a raw socket", try_raw, 0},
    {"open a netlink socket", try_netlink, SANDBOX_FORK_AS_USER | SANDBOX_PAM},
    {"listen on a low port", try_low_port, 0},
    {"become root again", try_root, SANDBOX_FORK_AS_USER | SANDBOX_PAM},
    {"trace a process", try_ptrace, SANDBOX_FORK_AS_USER},
    {"send a signal", try_signal, SANDBOX_FORK_AS_USER | SANDBOX_PAM},
    {"fork", try_fork, SANDBOX_FORK_AS_USER | SANDBOX_PAM},
    {"mount", try_mount, 0},
    {"change its root", try_chroot, 0},
    {"make memory executable", try_executable_memory, SANDBOX_FORK_AS_USER | SANDBOX_PAM},
    {"make a namespace", try_namespace, SANDBOX_FORK_AS_USER},
    {"leave a core", try_core, 0},
    {"gain privileges by exec", try_privileges, SANDBOX_FORK_AS_USER},
};

/* A path of the spec that lets the attempt at a file through. */
static bool
path_permits(const struct sandbox_spec *spec, const struct attempt *a)
{
	const char *target = a->make == try_read   ? "/etc/passwd"
			     : a->make == try_list ? "/proc/self/fd"
						   : "/tmp/x";

	if (a->make != try_read && a->make != try_list && a->make != try_write)
		return false;
	for (const struct sandbox_path *p = spec->paths; p && p->path; p++) {
		size_t len = strlen(p->path);

		if (strncmp(target, p->path, len) == 0 &&
		    (target[len] == '/' || target[len] == '\0' || len == 1) &&
		    strchr(p->rights, a->make == try_write ? 'c' : 'r'))
			return true;
	}
	return false;
}

static int
run(const struct attempt *a, const struct sandbox_spec *spec, const struct conf *conf)
{
	struct reach reach = {.spec = spec};
	struct sandbox sandbox;
	struct error err;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		reach.root_fd = open("/", O_PATH | O_DIRECTORY);
		reach.victim = getppid();
		if (sandbox_prepare(&sandbox, spec, conf, &err) < 0 || sandbox_close(&sandbox, &err) < 0) {
			dprintf(STDOUT_FILENO, "%s\n", err.text);
			_exit(BROKEN);
		}
		errno = 0;
		_exit(a->make(&reach));
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return BROKEN;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? REFUSED : BROKEN;
	/* /bin/false ends with 1, as an attempt that succeeded. */
	return WEXITSTATUS(status);
}

int
prove_sandbox(const struct server_program *program, const char *queue_directory)
{
	static const char *const words[] = {"refused", "SUCCEEDED", "the sandbox is broken"};
	struct error err;
	struct conf *conf;
	struct buf text;
	int status = EX_OK;

#ifdef WITH_SANITIZERS
	printf("%s: the sanitizers' run-time needs what the sandbox refuses\n", role_name(program->role));
	return PROVE_SKIPPED;
#endif
	buf_init(&text, 8192);
	buf_printf(&text, "queue_directory = %s\n", queue_directory);
	conf = conf_from_text(buf_text(&text), &err);
	buf_free(&text);
	if (conf == NULL) {
		fprintf(stderr, "%s\n", err.text);
		return EX_CONFIG;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(*attempts); i++) {
		const struct attempt *a = &attempts[i];
		int result;

		if ((program->sandbox.needs & a->permitted_by) || path_permits(&program->sandbox, a)) {
			printf("%s: %s: permitted\n", role_name(program->role), a->name);
			continue;
		}
		result = run(a, &program->sandbox, conf);
		printf("%s: %s: %s\n", role_name(program->role), a->name,
		    words[result <= BROKEN ? result : BROKEN]);
		if (result != REFUSED)
			status = EX_SOFTWARE;
	}
	conf_unref(&conf);
	return status;
}
