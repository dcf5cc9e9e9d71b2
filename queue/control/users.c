/*
 * control_users: who may list and flush: authorized_mailq_users, authorized_flush_users.
 *
 * A list is read as Postfix reads it: the first word that fits decides, and '!' in front of it says no. Names become
 * uids at the start, while the user database can be read, and after a reload with the help of lookup.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "queue/control/control.h"

enum { RULES_MAX = 128, NAME_SIZE = 64, TIMEOUT_MS = 30 * 1000 };

struct rule {
	bool flush; /* of authorized_flush_users */
	bool no;
	bool anyone;
	bool known; /* uid is that of name */
	unsigned uid;
	char name[NAME_SIZE];
};

static struct rule rules[RULES_MAX];
static size_t rule_count;
static unsigned generation; /* of the rules: answers to older questions do not count */
static char own_name[NAME_SIZE]; /* of the instance's user */

struct user_question {
	unsigned generation;
	size_t rule;
};

void
control_who(const struct ipc_channel *channel, char who[CONTROL_WHO_SIZE])
{
	uid_t uid = channel ? ipc_peer_uid(channel) : (uid_t)-1;

	snprintf(who, CONTROL_WHO_SIZE, "%s (uid %d)", uid == 0 ? "root" : own_name, (int)uid);
}

bool
control_is_listed(unsigned uid, bool flush)
{
	for (size_t i = 0; i < rule_count; i++)
		if (rules[i].flush == flush && (rules[i].anyone || (rules[i].known && rules[i].uid == uid)))
			return !rules[i].no;
	return false;
}

static void
take_list(const char *list, bool flush)
{
	struct span rest = span_of(list), word;

	while (conf_list_next(&rest, &word)) {
		struct rule *r = &rules[rule_count];

		if (rule_count == RULES_MAX) {
			log_warning(&queue_log,
			    "authorized_%s_users: only the first %d names of both lists count",
			    flush ? "flush" : "mailq", RULES_MAX);
			return;
		}
		memset(r, 0, sizeof(*r));
		r->flush = flush;
		r->no = word.len > 0 && word.ptr[0] == '!';
		if (r->no)
			word = span_from(word, 1);
		r->anyone = span_starts(word, "static:");
		if (span_copy(word, r->name, sizeof(r->name)))
			rule_count++;
	}
}

static void
take_lists(struct queue *q)
{
	generation++;
	rule_count = 0;
	take_list(q->conf->authorized_mailq_users, false);
	take_list(q->conf->authorized_flush_users, true);
}

void
control_read_users(struct queue *q)
{
	const struct passwd *pw = getpwuid(geteuid());

	if (pw)
		snprintf(own_name, sizeof(own_name), "%s", pw->pw_name);
	take_lists(q);
	for (size_t i = 0; i < rule_count; i++) {
		if (rules[i].anyone || !(pw = getpwnam(rules[i].name)))
			continue;
		rules[i].known = true;
		rules[i].uid = pw->pw_uid;
	}
}

/* ---- after a reload ---- */

/* "name:x:UID:..." */
static bool
uid_of(struct span line, unsigned *uid)
{
	uint64_t number;

	for (int i = 0; i < 2; i++) {
		ptrdiff_t colon = span_find(line, ':');

		if (colon < 0)
			return false;
		line = span_from(line, (size_t)colon + 1);
	}
	if (span_find(line, ':') < 0 ||
	    number_parse(span_sub(line, 0, (size_t)span_find(line, ':')), 0, UINT32_MAX - 1, &number) < 0)
		return false;
	*uid = (unsigned)number;
	return true;
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct user_question *w = context;
	struct rule *r = w->generation == generation ? &rules[w->rule] : NULL;

	(void)err;
	if (r && frame && frame->map_answer.status == LOOKUP_FOUND)
		r->known = uid_of(frame->map_answer.value, &r->uid);
	else if (r && frame && frame->map_answer.status == LOOKUP_NOT_FOUND)
		r->known = false;
	free(w);
	return 0;
}

static void
ask(struct queue *q, size_t rule)
{
	struct msg_map_ask ask = {
	    .tables = SPAN_LIT("unix:passwd.byname"), .form = LOOKUP_EXACT, .key = span_of(rules[rule].name)};
	struct user_question *w = mem_alloc(sizeof(*w));

	w->generation = generation;
	w->rule = rule;
	if (ipc_ask(server_peer(q->server, ROLE_LOOKUP, 0), IPC_MAP_ASK, &ask, TIMEOUT_MS, on_answer, w) == 0)
		free(w);
}

void
control_users_configured(struct queue *q)
{
	struct rule old[RULES_MAX];
	size_t old_count = rule_count;

	memcpy(old, rules, sizeof(old));
	take_lists(q);
	for (size_t i = 0; i < rule_count; i++) {
		/* Until lookup has answered, a name is whose it was. */
		for (size_t k = 0; k < old_count; k++) {
			if (strcmp(old[k].name, rules[i].name) != 0 || !old[k].known)
				continue;
			rules[i].known = true;
			rules[i].uid = old[k].uid;
		}
		if (!rules[i].anyone)
			ask(q, i);
	}
}
