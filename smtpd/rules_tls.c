/*
 * Rules about TLS and client certificates.
 */
#include "common/base/text.h"
#include "common/tls/facts.h"
#include "smtpd/restriction.h"
#include "smtpd/session.h"

enum verdict
rule_plaintext_session(struct check *c, const struct restriction_word *word)
{
	(void)word;
	if (c->session->tls)
		return VERDICT_NEXT;
	return check_reject(c, (int)c->session->settings->values->plaintext_reject_code, "4.7.1",
	    "Session encryption is required");
}

/* ---- fingerprints, in the order in which they are looked for ---- */

enum { FINGERPRINTS_MAX = 2 };

struct fingerprints {
	struct span tables;
	const char *keys[FINGERPRINTS_MAX];
	unsigned count;
};

static void
add(struct fingerprints *f, const char *key)
{
	if (f->count < FINGERPRINTS_MAX && key[0])
		f->keys[f->count++] = key;
}

/* "{ search_order = cert_fingerprint, pubkey_fingerprint }", or without the braces. */
static bool
add_ordered(struct fingerprints *f, struct span text, const struct tls_facts *facts)
{
	ptrdiff_t equals;
	struct span word;

	text = span_trim(text);
	if (text.len > 1 && text.ptr[0] == '{' && text.ptr[text.len - 1] == '}')
		text = span_sub(text, 1, text.len - 2);
	equals = span_find(text, '=');
	if (equals < 0 || !span_is_nocase(span_trim(span_sub(text, 0, (size_t)equals)), "search_order"))
		return false;
	text = span_from(text, (size_t)equals + 1);
	while (conf_list_next(&text, &word)) {
		if (span_is_nocase(word, "cert_fingerprint"))
			add(f, facts->certificate_fingerprint);
		else if (span_is_nocase(word, "pubkey_fingerprint"))
			add(f, facts->key_fingerprint);
		else
			return false;
	}
	return true;
}

/* "type:table" or, with the order, "{ type:table, { search_order = ... } }". Returns false if it is neither. */
static bool
fingerprints_find(struct fingerprints *f, struct span argument, const struct tls_facts *facts)
{
	struct span rest;

	*f = (struct fingerprints){.tables = argument};
	if (argument.len > 1 && argument.ptr[0] == '{' && argument.ptr[argument.len - 1] == '}') {
		rest = span_sub(argument, 1, argument.len - 2);
		if (!conf_list_next(&rest, &f->tables))
			return false;
		while (rest.len && strchr(", \t\r\n", rest.ptr[0]))
			rest = span_from(rest, 1);
		if (rest.len)
			return add_ordered(f, rest, facts);
	}
	add(f, facts->certificate_fingerprint);
	add(f, facts->key_fingerprint);
	return true;
}

/* ---- tables of them ---- */

static enum verdict ask_next(struct check *c);

/* relay_clientcerts, or what the word names. */
static bool
find_fingerprints(const struct check *c, struct fingerprints *f)
{
	const char *tables =
	    c->word->argument ? c->word->argument : c->session->settings->values->relay_clientcerts;

	return fingerprints_find(f, span_of(tables), c->session->tls);
}

/* A broken table defers; never is it taken for one without the key. */
static enum verdict
trouble(struct check *c)
{
	return check_reject(c, 451, "4.3.0", "Temporary lookup failure");
}

static enum verdict
judge(struct check *c, const struct msg_map_answer *answer)
{
	if (!answer || answer->status == LOOKUP_TEMPORARY)
		return trouble(c);
	if (answer->status == LOOKUP_NOT_FOUND) {
		c->phase++;
		return ask_next(c);
	}
	if (!c->word->argument)
		return VERDICT_PERMIT;
	return access_action(
	    c, answer->value, c->word->argument, answer->found_key, RESTRICT_CLIENT_CERTIFICATE);
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct check *c = context;
	enum verdict verdict;

	(void)err;
	session_answered(c->session);
	verdict = judge(c, frame ? &frame->map_answer : NULL);
	if (verdict != VERDICT_WAIT)
		check_resume(c, verdict);
	return 0;
}

static enum verdict
ask_next(struct check *c)
{
	struct msg_map_ask ask = {.form = LOOKUP_EXACT};
	struct fingerprints f;

	if (!find_fingerprints(c, &f)) {
		log_warning(NULL, "bad argument of %s: %s", c->word->rule->name, c->word->argument);
		return check_reject(c, 451, "4.3.5", "Server configuration error");
	}
	if (c->phase >= f.count || f.tables.len == 0)
		return VERDICT_NEXT;
	ask.tables = f.tables;
	ask.key = span_of(f.keys[c->phase]);
	if (session_ask(c->session, ROLE_LOOKUP, IPC_MAP_ASK, &ask, on_answer, c) < 0)
		return trouble(c);
	return VERDICT_WAIT;
}

/* A certificate that is known by its fingerprint need not lead to an authority that is. */
enum verdict
rule_certificate_listed(struct check *c, const struct restriction_word *word)
{
	const struct tls_facts *f = c->session->tls;

	c->word = word;
	if (!f || f->standing == TLS_ANONYMOUS)
		return VERDICT_NEXT;
	return ask_next(c);
}

enum verdict
rule_certificate_trusted(struct check *c, const struct restriction_word *word)
{
	const struct tls_facts *f = c->session->tls;

	if (f && f->trusted)
		return VERDICT_PERMIT;
	/* As in Postfix it stands for permit_tls_clientcerts, too. */
	return rule_certificate_listed(c, word);
}
