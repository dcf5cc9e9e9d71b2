#include "tools/layout.h"

#include <stdio.h>

const char *const layout_users[] = {"postern-log", "postern-smtpd", "postern-queue", "postern-delivery",
    "postern-drop", "postern-local", "postern-dns", "postern-lookup", "postern-policy", "postern-keys"};
const size_t layout_user_count = sizeof(layout_users) / sizeof(layout_users[0]);

/*
 * private: sockets for root and queue alone. public: sockets that every local program may connect to. maildrop: the
 * set-gid drop program may add files, and nobody but pickup may list them. empty: the root directory of those that
 * need none. tokens: refresh tokens that lookup replaces (tables of kind oauth2).
 */
const struct layout_directory layout_directories[] = {
    {"queue_directory", "", "root", 0755},
    {"queue_directory", "spool", "postern-queue", 0700},
    {"queue_directory", "pid", "root", 0755},
    {"queue_directory", "public", "root", 0755},
    {"queue_directory", "private", "root", 0700},
    {"queue_directory", "maildrop", "postern-drop", 01730},
    {"queue_directory", "empty", "root", 0555},
    {"queue_directory", "tokens", "postern-lookup", 0700},
    {"data_directory", "", "postern-policy", 0700},
};
const size_t layout_directory_count = sizeof(layout_directories) / sizeof(layout_directories[0]);

mode_t
layout_mode(const struct layout_directory *d, bool as_root)
{
	if (as_root)
		return d->mode;
	return d->mode & 0022 ? 0700 : d->mode & 0777;
}

int
layout_path(
    const struct layout_directory *d, const struct conf_values *v, char *path, size_t size, struct error *err)
{
	const char *top = conf_lookup(v, d->parameter);
	int len = snprintf(path, size, "%s%s%s", top, d->name[0] ? "/" : "", d->name);

	if (len < 0 || (size_t)len >= size)
		return error_set(err, "%s: the path is too long", d->parameter);
	return 0;
}
