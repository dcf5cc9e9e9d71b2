/*
 * check: every mistake that can be seen without starting anything.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/map/settings.h"
#include "tools/check.h"
#include "tools/check_passwords.h"
#include "tools/foreign.h"
#include "tools/layout.h"
#include "tools/tool.h"

/* One line for each complaint, "FILE:LINE: text" where there is a line. Returns how many. */
static size_t
print_complaints(const struct conf_report *report)
{
	const struct conf_complaint *c;
	size_t n = 0;

	for (; (c = conf_report_at(report, n)) != NULL; n++) {
		if (c->line > 0)
			printf("%s:%u: %s\n", c->file, c->line, c->text);
		else
			printf("%s: %s\n", c->file, c->text);
	}
	return n;
}

static size_t
check_users(void)
{
	size_t bad = 0;

	for (size_t i = 0; i < layout_user_count; i++) {
		const struct passwd *user = getpwnam(layout_users[i]);

		if (!user) {
			printf("there is no user %s (postern setup makes it)\n", layout_users[i]);
			bad++;
		} else if (user->pw_uid == 0 || user->pw_gid == 0) {
			printf("user %s has the rights of root\n", layout_users[i]);
			bad++;
		}
	}
	return bad;
}

static size_t
check_directory(const struct layout_directory *d, const char *path, bool as_root)
{
	mode_t want = layout_mode(d, as_root);
	const struct passwd *owner = as_root ? getpwnam(d->user) : getpwuid(geteuid());
	struct stat st;

	if (lstat(path, &st) < 0) {
		printf("%s: %s (postern setup makes it)\n", path, strerror(errno));
		return 1;
	}
	if (!S_ISDIR(st.st_mode)) {
		printf("%s: not a directory\n", path);
		return 1;
	}
	if (owner && (st.st_uid != owner->pw_uid || (as_root && st.st_gid != owner->pw_gid))) {
		printf("%s: belongs to user %u, group %u instead of %s (postern setup puts it right)\n", path,
		    (unsigned)st.st_uid, (unsigned)st.st_gid, owner->pw_name);
		return 1;
	}
	if ((st.st_mode & 07777) != want) {
		printf("%s: has mode %04o instead of %04o (postern setup puts it right)\n", path,
		    (unsigned)(st.st_mode & 07777), (unsigned)want);
		return 1;
	}
	return 0;
}

/* An ordinary user may look at the configuration of an instance that is root's, and cannot tell what is wrong in its folders. */
static bool
is_anothers(const struct conf_values *v, const char *confdir)
{
	struct stat st;

	if (geteuid() == 0 || stat(v->queue_directory, &st) < 0 || st.st_uid == geteuid())
		return false;
	printf("%s: this instance belongs to user %u: directories can be checked by that user alone\n",
	    confdir, (unsigned)st.st_uid);
	return true;
}

static size_t
check_directories(const struct conf_values *v, bool as_root)
{
	struct error err;
	size_t bad = 0;

	for (size_t i = 0; i < layout_directory_count; i++) {
		char path[4096];

		if (foreign_is(v, layout_directories[i].parameter, &err))
			continue; /* told by check_host() */
		if (layout_path(&layout_directories[i], v, path, sizeof(path), &err) < 0) {
			printf("%s\n", err.text);
			bad++;
		} else {
			bad += check_directory(&layout_directories[i], path, as_root);
		}
	}
	return bad;
}

/* Whoever may write the configuration may do what root may. */
static size_t
check_file_modes(const char *confdir, bool as_root)
{
	static const char *const names[] = {"", "/postern.conf"};
	size_t bad = 0;

	for (size_t i = 0; i < 2; i++) {
		char path[4096];
		struct stat st;

		snprintf(path, sizeof(path), "%s%s", confdir, names[i]);
		if (stat(path, &st) < 0)
			continue;
		if (st.st_mode & S_IWOTH || (as_root && st.st_mode & S_IWGRP && st.st_gid != 0)) {
			printf("%s: others may write it\n", path);
			bad++;
		}
		if (as_root && st.st_uid != 0) {
			printf("%s: belongs to user %u instead of root\n", path, (unsigned)st.st_uid);
			bad++;
		}
	}
	return bad;
}

static size_t
check_programs(const struct conf_values *v)
{
	static const char *const programs[] = {"master", "log", "smtpd", "queue", "delivery", "local",
	    "pickup", "resolver", "lookup", "policy", "keys"};
	struct error err;
	size_t bad = 0;

	if (foreign_is(v, "daemon_directory", &err))
		return 0; /* told by check_host() */
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", v->daemon_directory, programs[i]);
		if (access(path, X_OK) < 0) {
			printf("%s: %s\n", path, strerror(errno));
			bad++;
		}
	}
	return bad;
}

/* Without its group mail cannot be left in the drop directory while Postern is stopped. */
static size_t
check_drop(const struct conf_values *v)
{
	const struct group *group = getgrnam("postern-drop");
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/drop", v->daemon_directory);
	if (!group || lstat(path, &st) < 0)
		return 0;
	if (st.st_uid == 0 && st.st_gid == group->gr_gid && (st.st_mode & 07777) == 02755)
		return 0;
	printf("%s: is not set-gid to postern-drop (postern setup puts it right)\n", path);
	return 1;
}

int
command_check(int argc, char **argv, struct tool *tool)
{
	bool as_root = geteuid() == 0;
	struct conf_report *report;
	struct error err;
	size_t bad;

	if (argc != 1)
		return tool_usage(tool, argv[0]);
	report = conf_report_new();
	tool->conf = conf_load_anyway(tool->confdir, report, &err);
	if (!tool->conf) {
		conf_report_free(&report);
		return tool_fail(tool, EX_CONFIG, "%s", err.text);
	}
	map_settings_use(tool->conf);
	bad = print_complaints(report);
	conf_report_free(&report);
	bad += check_file_modes(tool->confdir, as_root);
	if (as_root)
		bad += check_users() + check_drop(tool->conf->values);
	bad += is_anothers(tool->conf->values, tool->confdir)
		   ? 1
		   : check_directories(tool->conf->values, as_root);
	bad += check_programs(tool->conf->values);
	bad += check_host(tool->conf, tool->confdir, as_root);
	bad += check_named_files(tool->conf, tool->confdir);
	bad += check_tables(tool->conf, tool->confdir);
	bad += check_pam(tool->conf);
	bad += check_tls_texts(tool->conf, tool->confdir);
	bad += check_certificates(tool->conf, tool->confdir);
	return bad > 0 ? EX_CONFIG : 0;
}
