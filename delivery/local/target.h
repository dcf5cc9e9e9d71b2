/*
 * target: whose mailbox a local name means, where it is, and as whom it is written.
 *
 * Nothing is ever written as root or as a system user (uid below TARGET_UID_MIN): their mail goes to a file in
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

enum { TARGET_UID_MIN = 1000, TARGET_NAME_MAX = 64, TARGET_GROUPS_MAX = 256 };

struct target {
	enum mailbox_kind kind;
	char path[4096];
	uid_t uid;
	gid_t gid;
	size_t group_count;
	gid_t groups[TARGET_GROUPS_MAX];
	bool unlisted; /* the name has no entry in passwd: local_recipient_maps must know it */
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

/* name: unquoted, without extension, lower case. */
enum target_status target_find(const struct target_finder *f, const struct conf_values *v, struct span name,
    struct target *target, char reason[200]);

#endif
