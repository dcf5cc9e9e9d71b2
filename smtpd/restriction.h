/*
 * restriction: lists of restrictions, as data, and their evaluation.
 *
 * A list is parsed once; an unknown word in it is kept as one that answers "451 4.3.5 Server configuration error", so
 * that a host never runs with fewer restrictions than were written. Evaluation is a state machine: the lists that the
 * command must pass, the position in them, and what is awaited. It never blocks; rules that need DNS or a table ask
 * and are resumed.
 *
 * As in Postfix: PERMIT ends a list and not the evaluation; with smtpd_delay_reject the client, HELO and sender lists
 * are evaluated at RCPT; defer_if_permit turns the final permit into a deferral, defer_if_reject a rejection.
 */
#ifndef POSTERN_SMTPD_RESTRICTION_H
#define POSTERN_SMTPD_RESTRICTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"

struct session;
struct check;
struct resolution;

enum restriction_stage {
	RESTRICT_CLIENT,
	RESTRICT_HELO,
	RESTRICT_SENDER,
	RESTRICT_RELAY,
	RESTRICT_RECIPIENT,
	RESTRICT_DATA,
	RESTRICT_END_OF_DATA,
	RESTRICT_ETRN,
	RESTRICT_LOCAL_CLIENT, /* local_header_rewrite_clients: refuses nobody, says whose mail is this host's own */
	RESTRICT_COUNT,
	RESTRICT_REVERSE_CLIENT =
	    RESTRICT_COUNT, /* no lists of their own: what an access table may be about */
	RESTRICT_CLIENT_CERTIFICATE,
	RESTRICT_SUBJECTS
};

enum { RESTRICTION_DEPTH_MAX = 16, RESTRICTION_TEXT_MAX = 700 };

enum verdict {
	VERDICT_NEXT, /* DUNNO */
	VERDICT_PERMIT,
	VERDICT_REJECT, /* the text is in the check */
	VERDICT_WAIT
};

struct restriction_word;
typedef enum verdict restriction_function(struct check *c, const struct restriction_word *word);

struct restriction {
	const char *name;
	bool takes_argument;
	restriction_function *function;
	int detail; /* tells apart rules that share a function */
};

struct restriction_word {
	const struct restriction *rule;
	char *name; /* as written */
	char *argument; /* NULL if the rule takes none */
};

struct restriction_list {
	size_t count;
	struct restriction_word words[];
};

/* smtpd_restriction_classes: lists with names, which stand for them in other lists and in access tables. */
struct restriction_class {
	char *name;
	struct restriction_list *list;
};

struct restriction_classes {
	struct restriction_class *items;
	size_t count;
};

/* Told of each word that is not understood. */
typedef void restriction_warn(const char *word);

/* Never fails: see above. */
struct restriction_list *restriction_list_parse(
    struct span text, const struct restriction_classes *classes, restriction_warn *warn);
void restriction_list_free(struct restriction_list **list);

struct conf_values;
void restriction_classes_parse(
    struct restriction_classes *classes, const struct conf_values *values, restriction_warn *warn);
void restriction_classes_free(struct restriction_classes *classes);

/* NULL if there is none of that name. */
const struct restriction_class *restriction_class_find(
    const struct restriction_classes *classes, struct span name);

struct check {
	struct session *session;
	const char *where; /* for the log: "RCPT" */
	struct span recipient;
	struct span etrn_domain;
	const struct resolution *resolution; /* of the recipient; NULL elsewhere */
	void (*done)(struct session *s, bool permitted);

	enum restriction_stage stages[RESTRICT_COUNT];
	size_t stage_count;
	size_t stage; /* the present one */
	struct {
		const struct restriction_list *list;
		size_t next;
		struct restriction_list *owned; /* the list, if it ends with its turn */
		enum restriction_stage
		    about; /* whom a plain reject in it refuses: the table's, if one gave the list */
	} stack[RESTRICTION_DEPTH_MAX]; /* classes and lists that access tables gave, above the stage's own */
	size_t depth;
	unsigned steps; /* words so far */

	const struct restriction_word *word; /* the one that waits */
	unsigned phase; /* what it waits for, its own affair */
	bool quiet; /* nobody is told of a refusal */
	bool said_permit; /* a word of some list did */
	size_t warn_depth; /* warn_if_reject is in force from this depth on; 0: it is not */
	bool unlisted_checked;
	bool sender_checked;
	bool in_rule;
	char **
	    until_rcpt; /* a list that is judged before RCPT: where its defer_if_permit waits for the end; or NULL */
	char text[RESTRICTION_TEXT_MAX]; /* the refusal */
	char defer_if_permit[RESTRICTION_TEXT_MAX];
	char defer_if_reject[RESTRICTION_TEXT_MAX];
};

/* What a check is about: for "CLASS rejected:" and its subject. */
enum restriction_stage check_stage(const struct check *c);
enum restriction_stage check_about(
    const struct check *c); /* the same, or what the table that gave the list is about */
struct span check_subject(const struct check *c, enum restriction_stage stage, char text[400]);
const char *check_class(enum restriction_stage stage);

/* user%elsewhere@here, elsewhere!user@here, "user@elsewhere"@here: lookup can tell where that leads. */
bool address_may_be_routed(struct span address);

/*
 * The recipient asks to be sent on by this host (user%elsewhere@here, elsewhere!user@here, "user@elsewhere"@here), and
 * allow_untrusted_routing is off: then nothing that lets mail for "here" in may let it in.
 */
bool check_is_routed(const struct check *c);

/*
 * Begins to evaluate stages for the present command. done is called once, perhaps before this returns. The text of a
 * refusal is then in session->check.
 */
struct check *check_new(
    struct session *s, const char *where, void (*done)(struct session *s, bool permitted));
void check_add_stage(struct check *c, enum restriction_stage stage);
void check_start(struct check *c);

/*
 * What the client's, HELO's and sender's lists left undecided (defer_if_permit), where they were judged at their own commands: for
 * the list of a recipient, whose rejection comes first.
 */
void check_inherit(struct check *c);

/* A rule that returned VERDICT_WAIT has its verdict now. */
void check_resume(struct check *c, enum verdict verdict);

/* Sets the text: "code enhanced text". Returns VERDICT_REJECT. */
enum verdict check_reject(struct check *c, int code, const char *enhanced, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Postfix's "<subject>: CLASS rejected: text" for the present stage. */
enum verdict check_reject_subject(
    struct check *c, enum restriction_stage stage, int code, const char *enhanced, const char *text);

/*
 * RFC 3463, 3.2: of X.1.X some are about the sender's address, some about the recipient's. What a table says of one is told
 * of the other, and of what is no address, by the code that fits, as in Postfix. code: a string.
 */
void check_fit_code(char code[16], enum restriction_stage stage);

/* Temporary trouble: reject_tempfail_action and its kin ("defer", "defer_if_permit"). */
enum verdict check_tempfail(struct check *c, const char *action, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The present list is interrupted by another one that an access table gave. */
enum verdict check_push_list(struct check *c, struct span text, enum restriction_stage about);

/* Cleans up; for the end of the session too. */
void check_free(struct check *c);

/* reject_*_sender_login_mismatch (rules_login.c). */
enum { LOGIN_ANY, LOGIN_AUTHENTICATED, LOGIN_UNAUTHENTICATED, LOGIN_KNOWN };

restriction_function rule_permit, rule_reject, rule_defer, rule_defer_if, rule_warn_if_reject,
    rule_permit_mynetworks, rule_permit_inet_interfaces, rule_sasl_authenticated, rule_sender_login,
    rule_auth_destination, rule_unauth_pipelining, rule_client_name, rule_helo_syntax, rule_helo_fqdn,
    rule_helo_unknown, rule_address_fqdn, rule_address_domain, rule_unlisted_recipient, rule_unlisted_sender,
    rule_multi_recipient_bounce, rule_access, rule_address_map, rule_class, rule_plaintext_session,
    rule_certificate_listed, rule_certificate_trusted, rule_configuration_error;

/* access(5): what a table's right-hand side asks for. */
enum verdict access_action(
    struct check *c, struct span value, const char *table, struct span key, enum restriction_stage stage);

/* An address that is in no table. */
enum verdict unlisted_reject(
    struct check *c, enum restriction_stage stage, uint8_t class, struct span reason);

/* Also what smtpd_reject_unlisted_recipient does after the lists. */
enum verdict unlisted_recipient(struct check *c);

#endif
