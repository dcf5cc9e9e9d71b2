#include "delivery/local/target.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/server/sandbox.h"

enum { REASON_SIZE = 200 };

void
target_finder_init(struct target_finder *f)
{
	struct error err;

	memset(f, 0, sizeof(*f));
	f->privileged = geteuid() == 0;
	f->own_uid = geteuid();
	f->own_gid = getegid();
	if (f->privileged && sandbox_find_user("local", &f->stand_in_uid, &f->stand_in_gid, &err) < 0)
		f->stand_in_uid = 0;
	getpwnam("root");
	getgrgid(0);
}

/* What may be a file's name below a directory of mailboxes. */
static bool
is_plain_name(struct span name)
{
	if (name.len == 0 || name.len > TARGET_NAME_MAX || name.ptr[0] == '.' || name.ptr[0] == '-')
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.ptr[i]) && !strchr("._-+=", name.ptr[i]))
			return false;
	return true;
}

static bool
ends_in_slash(const char *path)
{
	size_t len = strlen(path);

	return len > 0 && path[len - 1] == '/';
}

static int
set_path(struct target *t, const char *directory, const char *name, bool maildir, char reason[REASON_SIZE])
{
	int n = snprintf(
	    t->path, sizeof(t->path), "%s%s%s", directory, ends_in_slash(directory) ? "" : "/", name);

	t->kind = maildir ? MAILBOX_MAILDIR : MAILBOX_MBOX;
	if (n < 0 || (size_t)n >= sizeof(t->path) || t->path[0] != '/') {
		snprintf(reason, REASON_SIZE, "the mailbox's path is not absolute, or too long");
		return -1;
	}
	return 0;
}

/* Debian's /var/mail is 2775 root:mail: making a mailbox or a lock file there takes its group. */
static void
add_spool_group(struct target *t, const char *directory)
{
	struct stat st;

	if (stat(directory, &st) < 0 || !(st.st_mode & S_IWGRP) || st.st_gid == 0 ||
	    t->group_count >= TARGET_GROUPS_MAX)
		return;
	for (size_t i = 0; i < t->group_count; i++)
		if (t->groups[i] == st.st_gid)
			return;
	t->groups[t->group_count++] = st.st_gid;
}

/*
 * Opens the mailbox file of a system user, made where it is missing, and gives it to the stand-in. By descriptor and
 * never through links: a file with another name or owner is not touched.
 */
static int
hand_over_file(const char *path, const struct target *t, uid_t stand_in, char reason[REASON_SIZE])
{
	int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;
	int rc = -1;

	if (fd < 0 && errno == EEXIST)
		fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		snprintf(reason, REASON_SIZE, "cannot open mailbox %.90s: %.60s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		snprintf(reason, REASON_SIZE, "mailbox %.90s is not a regular file with one name", path);
	else if (st.st_uid == stand_in)
		rc = 0;
	else if (st.st_uid != 0 && st.st_uid != t->account_uid)
		snprintf(reason, REASON_SIZE, "mailbox %.90s belongs to another user", path);
	else if (fchown(fd, stand_in, t->account_gid) < 0 || fchmod(fd, 0640) < 0)
		snprintf(reason, REASON_SIZE, "mailbox %.90s: %.60s", path, strerror(errno));
	else
		rc = 0;
	io_close(&fd);
	return rc;
}

/*
 * Where only root may make files, a user's mailbox is made here and given away by descriptor; it is written as the user, as
 * ever. An empty one of root's was left behind half done. What else is wrong the writer says.
 */
static void
make_file(const struct target *t, const char *directory)
{
	struct stat st;
	int fd;

	if (stat(directory, &st) < 0 || st.st_uid != 0 || (st.st_mode & S_IWOTH) ||
	    ((st.st_mode & S_IWGRP) && st.st_gid != 0))
		return;
	fd = open(t->path, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		fd = open(t->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 && st.st_size == 0 &&
	    st.st_nlink == 1 && fchown(fd, t->uid, t->gid) < 0)
		log_warning(NULL, "mailbox %s: %s", t->path, strerror(errno));
	io_close(&fd);
}

/* hand_over_file() for a Maildir: what was made is given away by descriptor, whoever has put what in its place meanwhile. */
static int
hand_over_maildir(const char *path, const struct target *t, uid_t stand_in, char reason[REASON_SIZE])
{
	bool made = mkdir(path, 0700) == 0;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int rc = -1;

	if (fd < 0 || fstat(fd, &st) < 0)
		snprintf(reason, REASON_SIZE, "cannot open Maildir %.90s: %.60s", path, strerror(errno));
	else if (st.st_uid != (made ? 0 : stand_in))
		snprintf(reason, REASON_SIZE, "Maildir %.90s does not belong to postern-local", path);
	else if (made && fchown(fd, stand_in, t->account_gid) < 0)
		snprintf(reason, REASON_SIZE, "mailbox %.90s: %.60s", path, strerror(errno));
	else
		rc = 0;
	io_close(&fd);
	return rc;
}

static enum target_status
place_system_user(
    const struct target_finder *f, const struct conf_values *v, struct target *t, char reason[REASON_SIZE])
{
	bool maildir = ends_in_slash(v->mail_spool_directory);

	if (f->stand_in_uid == 0) {
		snprintf(reason, REASON_SIZE,
		    "mail for \"%s\" is kept by user postern-local, who is missing: 'postern setup' makes it",
		    t->name);
		return TARGET_TEMPORARY;
	}
	if (set_path(t, v->mail_spool_directory, t->name, maildir, reason) < 0)
		return TARGET_TEMPORARY;
	t->uid = f->stand_in_uid;
	t->gid = f->stand_in_gid;
	t->group_count = 0;
	t->groups[t->group_count++] = f->stand_in_gid;
	add_spool_group(t, v->mail_spool_directory);
	if (maildir ? hand_over_maildir(t->path, t, t->uid, reason) < 0
		    : hand_over_file(t->path, t, t->uid, reason) < 0)
		return TARGET_TEMPORARY;
	return TARGET_FOUND;
}

static enum target_status
place_home_or_spool(
    const struct target_finder *f, const struct conf_values *v, struct target *t, char reason[REASON_SIZE])
{
	struct stat st;

	if (v->require_home_directory && (stat(t->home, &st) < 0 || !S_ISDIR(st.st_mode))) {
		snprintf(reason, REASON_SIZE, "the home directory of \"%.64s\" is not there", t->name);
		return TARGET_TEMPORARY;
	}
	if (v->home_mailbox[0] != '\0') {
		if (set_path(t, t->home, v->home_mailbox, ends_in_slash(v->home_mailbox), reason) < 0)
			return TARGET_TEMPORARY;
	} else {
		if (set_path(t, v->mail_spool_directory, t->name, ends_in_slash(v->mail_spool_directory),
			reason) < 0)
			return TARGET_TEMPORARY;
		add_spool_group(t, v->mail_spool_directory);
		if (f->privileged && t->kind == MAILBOX_MBOX)
			make_file(t, v->mail_spool_directory);
	}
	return TARGET_FOUND;
}

enum target_status
target_mailbox(
    const struct target_finder *f, const struct conf_values *v, struct target *user, char reason[200])
{
	if (user->system)
		return place_system_user(f, v, user, reason);
	if (!user->foreign)
		return place_home_or_spool(f, v, user, reason);
	if (ends_in_slash(v->mail_spool_directory))
		return set_path(user, v->mail_spool_directory, user->name, true, reason) < 0
			   ? TARGET_TEMPORARY
			   : TARGET_FOUND;
	snprintf(reason, REASON_SIZE,
	    "started by an ordinary user, Postern cannot write the mailbox of \"%s\"", user->name);
	return TARGET_TEMPORARY;
}

/* ---- who it is ---- */

static void
take_account(struct target *t, const struct passwd *pw)
{
	t->account_uid = pw->pw_uid;
	t->account_gid = pw->pw_gid;
	snprintf(t->name, sizeof(t->name), "%s", pw->pw_name);
	snprintf(t->home, sizeof(t->home), "%s", pw->pw_dir);
	snprintf(t->shell, sizeof(t->shell), "%s", pw->pw_shell);
}

/* Becomes that account, with all its groups. */
static enum target_status
take_rights(struct target *t, const struct passwd *pw, char reason[REASON_SIZE])
{
	int count = TARGET_GROUPS_MAX - 1;

	t->uid = pw->pw_uid;
	t->gid = pw->pw_gid;
	if (t->gid == 0) {
		snprintf(reason, REASON_SIZE, "user \"%s\" has the group of root", pw->pw_name);
		return TARGET_TEMPORARY;
	}
	if (getgrouplist(pw->pw_name, pw->pw_gid, t->groups, &count) < 0)
		count = 0;
	t->group_count = (size_t)count;
	return TARGET_FOUND;
}

/* pw: NULL if there is no such user. */
static enum target_status
find_as_user(const struct target_finder *f, const struct conf_values *v, const struct passwd *pw,
    const char *name, struct target *t)
{
	t->uid = f->own_uid;
	t->gid = f->own_gid;
	if (pw) {
		take_account(t, pw);
		t->foreign = pw->pw_uid != f->own_uid;
		return TARGET_FOUND;
	}
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->foreign = t->unlisted = true;
	return ends_in_slash(v->mail_spool_directory) ? TARGET_FOUND : TARGET_UNKNOWN;
}

enum target_status
target_user(const struct target_finder *f, const struct conf_values *v, struct span name, struct target *user,
    char reason[REASON_SIZE])
{
	char text[TARGET_NAME_MAX + 1];
	const struct passwd *pw;

	memset(user, 0, sizeof(*user));
	if (!is_plain_name(name) || !span_copy(name, text, sizeof(text)))
		return TARGET_UNKNOWN;
	errno = 0;
	pw = getpwnam(text);
	/* getpwnam(3): these are said of users that do not exist, by one module or the other. */
	if (!pw && errno != 0 && errno != ENOENT && errno != ESRCH && errno != EBADF && errno != EPERM) {
		snprintf(reason, REASON_SIZE, "user lookup error: %s", strerror(errno));
		return TARGET_TEMPORARY;
	}
	if (pw && strcmp(pw->pw_name, text) != 0)
		pw = NULL;
	if (!f->privileged)
		return find_as_user(f, v, pw, text, user);
	if (!pw)
		return TARGET_UNKNOWN;
	take_account(user, pw);
	user->system = pw->pw_uid < TARGET_UID_MIN;
	return user->system ? TARGET_FOUND : take_rights(user, pw, reason);
}

enum target_status
target_find(const struct target_finder *f, const struct conf_values *v, struct span name,
    struct target *target, char reason[REASON_SIZE])
{
	enum target_status status = target_user(f, v, name, target, reason);

	return status == TARGET_FOUND ? target_mailbox(f, v, target, reason) : status;
}

/* ---- who reads lists and runs commands ---- */

/* One of Postern's: it would have other rights than mail is to have. */
static bool
is_own(const char *user)
{
	return strncmp(user, "postern-", 8) == 0;
}

enum target_status
target_named(
    const struct target_finder *f, struct span user_and_group, struct target *helper, char reason[200])
{
	ptrdiff_t colon = span_find(user_and_group, ':');
	char user[TARGET_NAME_MAX + 1] = "", group[TARGET_NAME_MAX + 1] = "";
	const struct passwd *pw;
	const struct group *gr = NULL;

	memset(helper, 0, sizeof(*helper));
	helper->kind = MAILBOX_HELPER;
	helper->uid = f->own_uid;
	helper->gid = f->own_gid;
	span_copy(
	    span_sub(user_and_group, 0, colon < 0 ? user_and_group.len : (size_t)colon), user, sizeof(user));
	if (colon >= 0)
		span_copy(span_from(user_and_group, (size_t)colon + 1), group, sizeof(group));
	pw = getpwnam(user);
	if (!pw || (group[0] && !(gr = getgrnam(group)))) {
		snprintf(reason, REASON_SIZE,
		    "mail system configuration error: there is no user or group %.*s",
		    (int)(user_and_group.len < 100 ? user_and_group.len : 100), user_and_group.ptr);
		return TARGET_TEMPORARY;
	}
	take_account(helper, pw);
	if (!f->privileged)
		return TARGET_FOUND;
	helper->uid = pw->pw_uid;
	helper->gid = gr ? gr->gr_gid : pw->pw_gid;
	helper->groups[helper->group_count++] = helper->gid;
	if (helper->uid == 0 || helper->gid == 0 || is_own(user)) {
		snprintf(reason, REASON_SIZE,
		    "mail system configuration error: nothing is done as user %s with group %u", user,
		    (unsigned)helper->gid);
		return TARGET_TEMPORARY;
	}
	return TARGET_FOUND;
}

enum target_status
target_of_owner(const struct target_finder *f, const struct conf_values *v, uid_t owner,
    struct target *helper, char reason[200])
{
	const struct passwd *pw = owner != 0 ? getpwuid(owner) : NULL;

	if (!f->privileged || !pw || is_own(pw->pw_name)) {
		enum target_status status = target_named(f, span_of(v->default_privs), helper, reason);

		helper->home[0] = helper->shell[0] = '\0'; /* nobody's, who only lends the rights */
		return status;
	}
	memset(helper, 0, sizeof(*helper));
	helper->kind = MAILBOX_HELPER;
	take_account(helper, pw);
	return take_rights(helper, pw, reason);
}

enum target_status
target_helper(const struct target_finder *f, const struct conf_values *v, const struct target *user,
    struct target *helper, char reason[200])
{
	if (user->system)
		return target_named(f, span_of(v->default_privs), helper, reason);
	*helper = *user;
	helper->kind = MAILBOX_HELPER;
	helper->path[0] = '\0';
	return TARGET_FOUND;
}

void
target_reader(const struct target_finder *f, struct target *reader)
{
	memset(reader, 0, sizeof(*reader));
	reader->kind = MAILBOX_READER;
	reader->uid = f->privileged ? f->stand_in_uid : f->own_uid;
	reader->gid = f->privileged ? f->stand_in_gid : f->own_gid;
	reader->groups[reader->group_count++] = reader->gid;
}
