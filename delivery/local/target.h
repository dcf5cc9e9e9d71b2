/*
 * target: whose mailbox a local name means, where it is, and as whom it is written.
 *
 * No mailbox is ever written as root or as a system user (uid below TARGET_UID_MIN): their mail goes to a file in
 * mail_spool_directory that belongs to postern-local and is readable for the user's group. An instance that was
 * started by an ordinary user writes all mail as that user.
 */
#ifndef POSTERN_LOCAL_TARGET_H
#define POSTERN_LOCAL_TARGET_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/span.h"
#include "common/conf/conf.h"
#include "common/ipc/protocol.h"

enum { TARGET_UID_MIN = 1000, TARGET_NAME_MAX = 64, TARGET_GROUPS_MAX = 256, TARGET_PATH_MAX = 1100 };

struct target {
	enum mailbox_kind kind;
	char path[TARGET_PATH_MAX]; /* the mailbox; of a helper: its root directory, "" the host's */
	uid_t uid;
	gid_t gid;
	size_t group_count;
	gid_t groups[TARGET_GROUPS_MAX];
	/* The account, as passwd has it. */
	uid_t account_uid;
	gid_t account_gid;
	char name[TARGET_NAME_MAX + 1];
	char home[512];
	char shell[256];
	bool unlisted; /* the name has no entry in passwd: local_recipient_maps must know it */
	bool system; /* a system user: the mailbox is the stand-in's */
	bool foreign; /* started by an ordinary user, who is not this one: nothing is read or run for it */
};

enum target_status {
	TARGET_FOUND,
	TARGET_UNKNOWN, /* no such user */
	TARGET_TEMPORARY /* reason says why */
};

struct target_finder {
	bool privileged;
	uid_t stand_in_uid; /* postern-local; 0: there is none */
	gid_t stand_in_gid;
	uid_t own_uid;
	gid_t own_gid;
};

/* Learns who this process is. Loads the modules of the name service. */
void target_finder_init(struct target_finder *f);

/* Who a name is. name: unquoted, without extension, lower case. */
enum target_status target_user(const struct target_finder *f, const struct conf_values *v, struct span name,
    struct target *user, char reason[200]);

/* Where that user's mailbox is; a system user's is made and handed over to the stand-in. Never TARGET_UNKNOWN. */
enum target_status target_mailbox(
    const struct target_finder *f, const struct conf_values *v, struct target *user, char reason[200]);

/* Both in one. */
enum target_status target_find(const struct target_finder *f, const struct conf_values *v, struct span name,
    struct target *target, char reason[200]);

/* As whom lists are read and commands are run for that user: the user, or default_privs for system users. */
enum target_status target_helper(const struct target_finder *f, const struct conf_values *v,
    const struct target *user, struct target *helper, char reason[200]);

/*
 * The same for an alias: whoever owns its table, a system user too (a list manager has a table of its own); default_privs for
 * root's, for Postern's own users' and where the owner has no account.
 */
enum target_status target_of_owner(const struct target_finder *f, const struct conf_values *v, uid_t owner,
    struct target *helper, char reason[200]);

/* "user", "user:group", as an administrator names them (default_privs, pipe's user=). Root and Postern's own are refused. */
enum target_status target_named(
    const struct target_finder *f, struct span user_and_group, struct target *helper, char reason[200]);

/* Whoever looks into letters' headers. */
void target_reader(const struct target_finder *f, struct target *reader);

#endif
