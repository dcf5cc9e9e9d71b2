/*
 * What becomes of mail from those who write this host's own: fields that are added (RFC 6409, 8), the client that is not
 * shown, and who counts as such. Rows: who is there, what the header says, and what of it is stored.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "common/base/mem.h"
#include "tests/unit/smtpd/fakes.h"

#define HOST                                                                                                 \
	"myhostname = mx.here.test\nmydomain = here.test\nmyorigin = here.test\nrecipient_delimiter = +\n"
#define CLIENT "192.0.2.99"

struct row {
	const char *name, *conf, *login, *sender, *header;
	const char *stored[6], *not_stored[4];
	const char *reply; /* to the final dot, where it is no 250 */
};

#define FROM_ALICE "From: Alice <alice@here.test>\r\n"
#define REST "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@x>\r\n"

static const struct row rows[] = {
    {"what is missing is added for who authenticated", "", "alice", "alice@here.test", "Subject: x\r\n",
	{"\r\nDate: ", "\r\nFrom: alice@here.test\r\n", "\r\nMessage-ID: <"}, {"Sender:"}, NULL},
    {"...and a bounce of somebody's own has the login in From", "", "alice", "", "Subject: x\r\n",
	{"\r\nFrom: alice@here.test\r\n"}, {"Sender:", "MAILER-DAEMON"}, NULL},
    {"...not for a stranger", "", NULL, "alice@here.test", "Subject: x\r\n", {"Subject: x\r\n"},
	{"Date:", "From: alice", "Message-ID:", "Sender:"}, NULL},
    {"...unless always", "always_add_missing_headers = yes\n", NULL, "alice@here.test", "Subject: x\r\n",
	{"\r\nDate: ", "\r\nFrom: alice@here.test\r\n", "\r\nMessage-ID: <"}, {"Sender:"}, NULL},
    {"what is there stays", "", "alice", "a@there.test", FROM_ALICE REST,
	{FROM_ALICE, "\r\nMessage-ID: <1@x>\r\n"},
	{"Sender:", "\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nDate"}, NULL},
    {"a login is its address", "", "alice", "x@y.test", FROM_ALICE, {FROM_ALICE}, {"Sender:"}, NULL},
    {"...in any case", "", "Alice", "x@y.test", "From: ALICE@Here.Test\r\n", {"From: ALICE@"}, {"Sender:"},
	NULL},
    {"...also with an extension", "", "alice", "x@y.test", "From: alice+list@here.test\r\n", {"From: "},
	{"Sender:"}, NULL},
    {"a login with a domain is its address", "", "a@far.test", "x@y.test", "From: a@far.test\r\n", {"From: "},
	{"Sender:"}, NULL},
    {"...and nobody else's", "", "alice@far.test", "x@y.test", FROM_ALICE, {"\r\nSender: alice@far.test\r\n"},
	{NULL}, NULL},
    {"another local user", "", "bob", "x@y.test", FROM_ALICE, {FROM_ALICE, "\r\nSender: bob@here.test\r\n"},
	{NULL}, NULL},
    {"the same local part elsewhere", "", "alice", "x@y.test", "From: alice@far.test\r\n",
	{"\r\nSender: alice@here.test\r\n"}, {NULL}, NULL},
    {"a From that is added counts", "", "bob", "alice@here.test", "Subject: x\r\n",
	{"\r\nFrom: alice@here.test\r\n", "\r\nSender: bob@here.test\r\n"}, {NULL}, NULL},
    {"a Sender of somebody else is replaced", "", "bob", "x@y.test",
	FROM_ALICE "Sender: eve@far.test\r\nX-A: b\r\n", {"\r\nSender: bob@here.test\r\n", "X-A: b\r\n"},
	{"eve"}, NULL},
    {"...however it is folded, and twice", "", "bob", "x@y.test",
	"sender :\r\n eve@far.test\r\n" FROM_ALICE "Sender: eve@far.test\r\n",
	{"\r\nSender: bob@here.test\r\n"}, {"eve"}, NULL},
    {"one's own Sender stays", "", "bob", "x@y.test", FROM_ALICE "Sender: Bob <bob@here.test>\r\n",
	{"\r\nSender: Bob <bob@here.test>\r\n"}, {"Sender: bob"}, NULL},
    {"several authors need a Sender", "", "bob", "x@y.test", "From: alice@here.test, bob@here.test\r\n",
	{"\r\nSender: bob@here.test\r\n"}, {NULL}, NULL},
    {"From without an address names nobody", "", "bob", "x@y.test", "From: undisclosed:;\r\n",
	{"\r\nSender: bob@here.test\r\n"}, {NULL}, NULL},
    {"an address in a comment is no author", "", "bob", "x@y.test",
	"From: (bob@here.test) alice@here.test\r\n", {"\r\nSender: bob@here.test\r\n"}, {NULL}, NULL},
    {"nor is a display name", "", "bob", "x@y.test", "From: \"bob@here.test\" <alice@here.test>\r\n",
	{"\r\nSender: bob@here.test\r\n"}, {NULL}, NULL},
    {"a login that this host knows not to exist is no Sender", "", "nobody", "x@y.test", FROM_ALICE,
	{FROM_ALICE}, {"Sender:"}, NULL},
    {"nor one that is no address", "", "a b\r\nX: y", "x@y.test", FROM_ALICE, {FROM_ALICE},
	{"Sender:", "\nX: y"}, NULL},
    {"trouble with it puts the mail off", "", "temp", "x@y.test", FROM_ALICE, {NULL}, {NULL}, "451 4.3.0"},
    {"...and trouble with the tables of owners", "smtpd_sender_login_maps = fail:x\n", "bob", "x@y.test",
	FROM_ALICE, {NULL}, {NULL}, "451 4.3.0"},
    {"an owner of the author's address needs no Sender", "smtpd_sender_login_maps = fake:eve~bob\n", "bob",
	"x@y.test", FROM_ALICE, {FROM_ALICE}, {"Sender:"}, NULL},
    {"off", "smtpd_add_sender = no\n", "bob", "x@y.test", FROM_ALICE, {FROM_ALICE}, {"Sender:"}, NULL},
    {"mail passed on is marked by Resent-From", "", "bob", "x@y.test",
	FROM_ALICE "Resent-From: bob@here.test\r\n", {FROM_ALICE}, {"Sender:"}, NULL},
    {"...of oneself", "", "bob", "x@y.test", FROM_ALICE "Resent-From: eve@far.test\r\n",
	{FROM_ALICE, "\r\nSender: bob@here.test\r\n"}, {NULL}, NULL},
    {"the client is not shown", "smtpd_hide_client_address = yes\n", "alice", "alice@here.test", FROM_ALICE,
	{"Received: by mx.here.test (Postern) with ESMTP"}, {CLIENT, "client.test", "from unknown"}, NULL},
    {"...in mynetworks", "smtpd_hide_client_address = yes\nmynetworks = 192.0.2.0/24\n", NULL, "a@here.test",
	FROM_ALICE, {"Received: by mx.here.test (Postern) with ESMTP"}, {CLIENT, "client.test"}, NULL},
    {"...but a stranger is", "smtpd_hide_client_address = yes\n", NULL, "a@here.test", FROM_ALICE,
	{"Received: from client.test (unknown [" CLIENT "])\r\n\tby mx.here.test (Postern) with ESMTP"},
	{NULL}, NULL},
    {"the product's name is mail_name", "mail_name = Some Mailer\n", NULL, "a@here.test", FROM_ALICE,
	{"\tby mx.here.test (Some Mailer) with ESMTP id "}, {"Postern"}, NULL},
    {"local_header_rewrite_clients by a table", "local_header_rewrite_clients = check_address_map fake:x\n",
	NULL, "a@here.test", "Subject: x\r\n", {"\r\nDate: ", "\r\nFrom: a@here.test\r\n"}, {NULL}, NULL},
    {"...a bare one", "local_header_rewrite_clients = permit_inet_interfaces, fake:x\n", NULL, "a@here.test",
	"Subject: x\r\n", {"\r\nDate: "}, {NULL}, NULL},
    {"...that does not know the client", "local_header_rewrite_clients = check_address_map none:\n", NULL,
	"a@here.test", "Subject: x\r\n", {"Subject: x\r\n"}, {"\nDate: "}, NULL},
    {"...that does not answer", "local_header_rewrite_clients = check_address_map fail:\n", NULL,
	"a@here.test", NULL, {NULL}, {NULL}, "451 4.3.0"},
    {"...by network", "local_header_rewrite_clients = permit_mynetworks\nmynetworks = 192.0.2.0/24\n", NULL,
	"a@here.test", "Subject: x\r\n", {"\r\nDate: "}, {NULL}, NULL},
};

/* Commands up to the reply to the final dot (or to DATA, where the row has no header). */
static const char *
converse(struct fakes *f, const struct row *row, bool whole)
{
	char text[4000];

	fakes_send(f, "EHLO client.test\r\n", 18);
	fakes_settle(f);
	if (row->login)
		fakes_session(f)->sasl_username = mem_strdup(row->login);
	snprintf(text, sizeof(text), "MAIL FROM:<%s>\r\nRCPT TO:<list@here.test>\r\nDATA\r\n", row->sender);
	fakes_send(f, text, strlen(text));
	fakes_settle(f);
	if (!row->header)
		return fakes_replies(f);
	(void)fakes_replies(f);
	snprintf(text, sizeof(text), "%s\r\nbody\r\n.\r\n", row->header);
	for (size_t i = 0; i < strlen(text); i += whole ? strlen(text) : 1) {
		fakes_send(f, text + i, whole ? strlen(text) : 1);
		fakes_settle(f);
	}
	return fakes_replies(f);
}

static void
check_row(const struct row *row, bool whole)
{
	char conf[600];
	struct fakes f;
	const char *reply, *content;

	snprintf(conf, sizeof(conf), HOST "%s", row->conf);
	fakes_init(&f, conf, CLIENT);
	reply = converse(&f, row, whole);
	if (!strstr(reply, row->reply ? row->reply : "250 2.0.0 Ok: queued as"))
		fail_msg("%s: %s", row->name, reply);
	if (!row->reply) {
		struct fake_message *m = fakes_last_message(&f);

		content = buf_text(&m->content);
		for (size_t i = 0; i < 6 && row->stored[i]; i++)
			if (!strstr(content, row->stored[i]))
				fail_msg("%s: lacks %s: %s", row->name, row->stored[i], content);
		for (size_t i = 0; i < 4 && row->not_stored[i]; i++)
			if (strstr(content, row->not_stored[i]))
				fail_msg("%s: has %s: %s", row->name, row->not_stored[i], content);
		/* Where the header ends is where queue was told that it ends. */
		if (m->close.header_len != (uint64_t)(strstr(content, "\r\n\r\n") + 4 - content))
			fail_msg("%s: header of %llu octets: %s", row->name,
			    (unsigned long long)m->close.header_len, content);
	}
	fakes_fini(&f);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check_row(&rows[i], true);
		check_row(&rows[i], false);
	}
}

/* What policy says of the user, and what becomes of the message. */
static void
test_limits(void **state)
{
	static const struct {
		const char *name, *conf, *login;
		struct msg_policy_user_answer answer;
		const char *reply, *hold, *told;
	} cases[] = {
	    {"within", "smtpd_user_message_limit_hour = 5\n", "alice", {.standing = USER_WITHIN}, "250 2.0.0",
		NULL, ""},
	    {"beyond", "smtpd_user_message_limit_hour = 5\n", "alice", {.standing = USER_BEYOND, .tell = 1},
		"250 2.0.0", "user alice: more than 5 messages in an hour", "alice"},
	    {"...told already", "smtpd_user_message_limit_day = 5\n", "alice",
		{.standing = USER_BEYOND, .limit = USER_MESSAGES_DAY}, "250 2.0.0",
		"user alice: more than 5 messages in a day", ""},
	    {"a name that would break a line", "smtpd_user_recipient_limit_day = 7\n", "a\nb",
		{.standing = USER_BEYOND, .limit = USER_RECIPIENTS_DAY}, "250 2.0.0",
		"user a?b: more than 7 recipients in a day", ""},
	    {"far beyond", "smtpd_user_recipient_limit_hour = 5\n", "alice",
		{.standing = USER_FAR_BEYOND, .limit = USER_RECIPIENTS_HOUR, .tell = 1},
		"452 4.7.1 Error: user alice: more than 5 recipients in an hour", NULL, ""},
	    {"no limits", "", "alice", {.standing = USER_FAR_BEYOND}, "250 2.0.0", NULL, ""},
	    {"nobody", "smtpd_user_message_limit_hour = 5\n", NULL, {.standing = USER_FAR_BEYOND},
		"250 2.0.0", NULL, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct row row = {.name = cases[i].name,
		    .login = cases[i].login,
		    .sender = "x@y.test",
		    .header = FROM_ALICE};
		bool refused = cases[i].reply[0] == '4';
		struct fakes f;
		char conf[600];
		const char *reply;

		snprintf(conf, sizeof(conf), HOST "%s", cases[i].conf);
		fakes_init(&f, conf, CLIENT);
		f.user_answer = cases[i].answer;
		if (refused)
			row.header = NULL;
		reply = converse(&f, &row, true);
		if (!strstr(reply, cases[i].reply))
			fail_msg("%s: %s", cases[i].name, reply);
		assert_string_equal(f.told, cases[i].told);
		if (!refused) {
			struct fake_message *m = fakes_last_message(&f);

			assert_int_equal((m->flags & MAIL_HOLD) != 0, cases[i].hold != NULL);
			assert_int_equal((m->flags & MAIL_TELL_HELD) != 0, cases[i].answer.tell);
			assert_string_equal(m->hold_reason, cases[i].hold ? cases[i].hold : "");
		}
		fakes_fini(&f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_limits)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
