/*
 * sandbox: the steps that take rights away, in the order in which the skeleton takes them.
 *
 * sandbox_prepare() is called while everything can still be opened; sandbox_close() takes the rights away for good.
 * The single steps are here for 'local', whose children become the recipient and then close a sandbox of their own.
 * Threads are started after sandbox_close(): Landlock holds for the calling thread and those it starts.
 *
 * What each layer is for:
 *   user, groups, chroot   what other processes and files of the host can be reached at all (root start only)
 *   capabilities           none, except for 'local' (SANDBOX_FORK_AS_USER) and 'auth' (SANDBOX_PAM)
 *   no_new_privs           no set-uid program gives anything back
 *   Landlock               files below the paths of the spec only; no TCP for roles that connect nowhere
 *   seccomp                an allow-list. Calls that only an attacker makes (execve, ptrace, mount, bpf, ...) end the
 *                          process; others that are not on the list fail with EPERM, since libraries probe.
 *                          For SANDBOX_PAM it is a list of what is refused: sockets other than UNIX and netlink, and the
 *                          calls of an attacker that are neither fork nor exec.
 */
#ifndef POSTERN_SERVER_SANDBOX_H
#define POSTERN_SERVER_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/server/server.h"

struct sandbox {
	const struct sandbox_spec *spec;
	bool root; /* started by root: user and chroot too */
	uid_t uid;
	gid_t gid;
	int root_fd; /* directory to become /, -1: none */
	int landlock_fd; /* ruleset, -1: the kernel has none */
};

/* "$queue_directory/x" with the parameter's value. Returns -1 if it does not fit or the name is unknown. */
int sandbox_expand(const char *path, const struct conf *conf, char *out, size_t size, struct error *err);

int sandbox_prepare(
    struct sandbox *s, const struct sandbox_spec *spec, const struct conf *conf, struct error *err);
int sandbox_close(struct sandbox *s, struct error *err);

/* ---- single steps ---- */

/* postern-NAME's ids. An error that names 'postern setup' if there is no such user. */
int sandbox_find_user(const char *name, uid_t *uid, gid_t *gid, struct error *err);

/* Becomes uid and gid alone, and checks that there is no way back. */
int sandbox_become(uid_t uid, gid_t gid, struct error *err);

/* Keeps only these capabilities (bits 1 << CAP_*). */
int sandbox_keep_capabilities(uint64_t keep, struct error *err);

/* No core files; max_files descriptors if it is not 0 (as many as allowed, if fewer). */
int sandbox_limits(uint64_t max_files, struct error *err);

/* A ruleset of what needs and paths allow. -1 in *fd if the kernel has no Landlock: then it is only said in the log. */
int sandbox_landlock_prepare(
    const struct sandbox_spec *spec, const struct conf *conf, int *fd, struct error *err);
int sandbox_landlock_close(int *fd, struct error *err);

int sandbox_no_new_privs(struct error *err);
int sandbox_seccomp(unsigned needs, struct error *err);

#endif
