/*
 * A worker with one client, and everybody that it asks played by this process over socket pairs.
 *
 * lookup: here.test is local (users "nobody..." unknown, "temp..." in trouble, "list" expands to two); virtual.test is
 * a virtual alias domain; all else goes to smtp. resolver: domains "nx..." do not exist, "temp..." give no answer,
 * "null..." have a null MX, "bare..." only an address. Tables "fake:TEXT" find TEXT (with blanks for tildes), "fail:" are broken,
 * "regexp:" is taken for smtpd_forbidden_commands' own. The password is "secret" for everybody, and "trouble" is trouble;
 * nobody has keys for SCRAM. policy lets nobody try the account "closed".
 */
#ifndef POSTERN_TESTS_SMTPD_FAKES_H
#define POSTERN_TESTS_SMTPD_FAKES_H

#include <event2/event.h>

#include "common/base/buf.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"

enum { FAKE_MESSAGES_MAX = 20, FAKE_RECIPIENTS_MAX = 2048 };

struct fake_message {
	uint64_t id;
	char *sender;
	char *hold_reason;
	uint32_t flags;
	unsigned recipients;
	char *last_recipient;
	struct buf content;
	struct msg_submit_close close;
	char *message_id;
	bool closed, aborted;
	uint32_t call;
};

enum { FAKE_HELD_MAX = 64 };

/* A question to lookup that waits. */
struct fake_ask {
	uint32_t call, flags;
	char address[200];
};

struct fakes {
	struct event_base *base;
	struct smtpd smtpd;
	struct conf *conf;
	struct settings *settings;
	struct ipc_channel *others[ROLE_COUNT];
	int client; /* our end of the session's socket */
	struct buf replies;
	struct fake_message messages[FAKE_MESSAGES_MAX];
	size_t message_count;
	uint64_t credited;
	unsigned asks; /* of lookup about recipients */
	bool hold_lookup; /* they are not answered until fakes_answer() */
	struct fake_ask held[FAKE_HELD_MAX];
	unsigned held_count;
	unsigned policy_gone;
	unsigned auth_results[AUTH_TEMPORARY + 1]; /* what policy was told, by status */
	uint32_t policy_rate;
	struct msg_policy_user_answer user_answer;
	uint32_t user_recipients; /* that policy was last told of */
	char told[32]; /* the user of whom postmaster was told */
	uint8_t answer_with; /* enum submit_status */
	bool withhold_credit;
	bool mute_queue; /* no answers */
	bool durable; /* what queue says of a submission that it had not answered */
	unsigned fates; /* such questions */
	struct buf log;
};

/* text: lines of postern.conf. address: the client's. */
void fakes_init(struct fakes *f, const char *text, const char *address);
void fakes_fini(struct fakes *f);

/* Another client, once the first one is gone. */
void fakes_connect(struct fakes *f, const char *address);

/* Turns the loop until nothing moves. */
void fakes_settle(struct fakes *f);
void fakes_send(struct fakes *f, const void *bytes, size_t len);

/* All replies since the last call, as text; lives until the next call. */
const char *fakes_replies(struct fakes *f);

/* The session, NULL if it has ended. */
struct session *fakes_session(struct fakes *f);

/* queue dies, and is there again. */
void fakes_kill_queue(struct fakes *f);
void fakes_start_queue(struct fakes *f);

/* Answers the question that was held at that place of 'held', and turns the loop. */
void fakes_answer(struct fakes *f, unsigned i);

struct fake_message *fakes_last_message(struct fakes *f);
unsigned fakes_committed(const struct fakes *f);

#endif
