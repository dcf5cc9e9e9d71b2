#include "smtpd/tls_listener.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/tls/context.h"
#include "smtpd/tls_authorities.h"
#include "smtpd/tls_level.h"

enum { LIST_MAX = 16 * 1024 };

/* The texts of one context, while it is made. */
struct texts {
	struct buf ciphers, groups;
	struct tls_protocols protocols;
	uint64_t options;
};

static int
make_ciphers(const struct conf_values *v, bool mandatory, struct buf *out, struct error *err)
{
	const struct tls_grades grades = {.high = v->tls_high_cipherlist,
	    .medium = v->tls_medium_cipherlist,
	    .null = v->tls_null_cipherlist};
	const char *grade = mandatory ? v->smtpd_tls_mandatory_ciphers : v->smtpd_tls_ciphers;

	if (tls_cipher_list(out, span_trim(span_of(grade)), &grades, v->smtpd_tls_exclude_ciphers,
		mandatory ? v->smtpd_tls_mandatory_exclude_ciphers : NULL, err) < 0)
		return error_while(err, mandatory ? "smtpd_tls_mandatory_ciphers" : "smtpd_tls_ciphers");
	return 0;
}

/* smtpd_tls_eecdh_grade, and the finite fields of tls_ffdhe_auto_groups behind it. */
static int
make_groups(const struct conf_values *v, struct buf *out, struct error *err)
{
	const struct {
		const char *grade;
		const char *curves;
	} rows[] = {{"auto", v->tls_eecdh_auto_curves}, {"strong", v->tls_eecdh_strong_curve},
	    {"ultra", v->tls_eecdh_ultra_curve}, {"none", ""}};
	struct span grade = span_trim(span_of(v->smtpd_tls_eecdh_grade));

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!span_is_nocase(grade, rows[i].grade))
			continue;
		if (tls_groups(out, span_of(rows[i].curves), span_of(v->tls_ffdhe_auto_groups), err) < 0)
			return error_while(err, "smtpd_tls_eecdh_grade = %s", rows[i].grade);
		return 0;
	}
	return error_set(err, "smtpd_tls_eecdh_grade = %.40s: must be one of auto none strong ultra",
	    v->smtpd_tls_eecdh_grade);
}

static int
texts_make(struct texts *t, const struct conf_values *v, struct error *err)
{
	bool mandatory = tls_level_of(v) == TLS_LEVEL_ENCRYPT;
	const char *protocols = mandatory ? v->smtpd_tls_mandatory_protocols : v->smtpd_tls_protocols;

	if (tls_protocols_parse(span_of(protocols), &t->protocols, err) < 0)
		return error_while(err, mandatory ? "smtpd_tls_mandatory_protocols" : "smtpd_tls_protocols");
	if (tls_options_parse(span_of(v->tls_ssl_options), &t->options, err) < 0)
		return error_while(err, "tls_ssl_options");
	if (make_ciphers(v, mandatory, &t->ciphers, err) < 0)
		return -1;
	return make_groups(v, &t->groups, err);
}

static void
texts_init(struct texts *t)
{
	*t = (struct texts){0};
	buf_init(&t->ciphers, LIST_MAX);
	buf_init(&t->groups, LIST_MAX);
}

static void
texts_free(struct texts *t)
{
	buf_free(&t->ciphers);
	buf_free(&t->groups);
}

struct tls_context *
tls_listener_context(const struct conf_section *section, struct tls_keys *keys,
    const struct tls_authorities *authorities, struct error *err)
{
	const struct conf_values *v = section->values;
	struct tls_context *context = NULL;
	struct texts t;

	texts_init(&t);
	if (texts_make(&t, v, err) == 0) {
		struct tls_settings settings = {
		    .side = TLS_SERVER,
		    .section = section->name,
		    .protocols = t.protocols,
		    .ciphers = buf_text(&t.ciphers),
		    .groups = buf_text(&t.groups),
		    .options = t.options,
		    .server_preference = v->tls_preempt_cipherlist,
		    .no_workarounds = span_trim(span_of(v->tls_disable_workarounds)).len > 0,
		    .tickets = v->smtpd_tls_session_cache_timeout > 0,
		    .ask = tls_level_asks(v) ? TLS_ASK_CERTIFICATE : TLS_ASK_NOTHING,
		    .verify_depth = (unsigned)v->smtpd_tls_ccert_verifydepth,
		    .ticket_lifetime_s = (unsigned)(v->smtpd_tls_session_cache_timeout / US_PER_SECOND),
		    .digest = v->smtpd_tls_fingerprint_digest,
		    .trust = tls_authorities_of(authorities, v),
		};

		context = tls_context_new(&settings, keys, err);
	}
	texts_free(&t);
	return context;
}
