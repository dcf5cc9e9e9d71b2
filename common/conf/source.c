#include "common/conf/source.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/report.h"

enum { ARENA_MAX = 64 << 20 };

struct source *
source_new(const char *file, struct conf_report *report)
{
	struct source *s = mem_alloc(sizeof(*s));
	ptrdiff_t slash = span_find_last(span_of(file), '/');

	s->arena = arena_new(ARENA_MAX);
	s->file = file;
	s->report = report;
	s->scopes[0].section = "";
	if (slash >= 0)
		s->scopes[0].folder = arena_copy(s->arena, span_make(file, slash > 0 ? (size_t)slash : 1));
	s->scope_count = 1;
	return s;
}

void
source_free(struct source **s)
{
	if (!*s)
		return;
	for (size_t i = 0; i < (*s)->scope_count; i++)
		free((*s)->scopes[i].settings);
	arena_free(&(*s)->arena);
	free(*s);
	*s = NULL;
}

struct scope *
source_scope(struct source *s, struct span section)
{
	struct scope *scope;

	for (size_t i = 0; i < s->scope_count; i++) {
		if (span_is(section, s->scopes[i].section))
			return &s->scopes[i];
	}
	if (s->scope_count == sizeof(s->scopes) / sizeof(s->scopes[0]))
		return NULL;
	scope = &s->scopes[s->scope_count];
	scope->section = arena_copy(s->arena, section);
	if (!scope->section)
		return NULL;
	s->scope_count++;
	return scope;
}

struct setting *
scope_find(const struct scope *scope, struct span name)
{
	for (size_t i = 0; i < scope->count; i++) {
		if (span_is(name, scope->settings[i].name))
			return &scope->settings[i];
	}
	return NULL;
}

struct setting *
source_set(struct source *s, struct scope *scope, struct span name, struct span text, unsigned line)
{
	struct setting *setting = scope_find(scope, name);
	const char *copy = arena_copy(s->arena, text);

	if (!copy)
		return NULL;
	if (!setting) {
		const char *own_name = arena_copy(s->arena, name);

		if (!own_name || s->setting_count == SOURCE_SETTINGS_MAX)
			return NULL;
		s->setting_count++;
		scope->settings = mem_resize(scope->settings, (scope->count + 1) * sizeof(*scope->settings));
		setting = &scope->settings[scope->count++];
		memset(setting, 0, sizeof(*setting));
		setting->name = own_name;
	}
	setting->text = copy;
	setting->line = line;
	return setting;
}

/* Their defaults let more through than they can be set to: the default in place of a mistake would be no restriction. */
static const char *const stricter_than_default[] = {
    "disable_vrfy_command",
    "smtp_tls_security_level",
    "smtpd_client_auth_rate_limit",
    "smtpd_client_connection_count_limit",
    "smtpd_client_connection_rate_limit",
    "smtpd_client_message_rate_limit",
    "smtpd_client_new_tls_session_rate_limit",
    "smtpd_client_recipient_rate_limit",
    "smtpd_enforce_tls",
    "smtpd_forbid_bare_newline",
    "smtpd_helo_required",
    "smtpd_hide_client_address",
    "smtpd_reject_unlisted_sender",
    "smtpd_tls_req_ccert",
    "smtpd_tls_security_level",
    "smtpd_tls_wrappermode",
    "smtpd_user_message_limit_day",
    "smtpd_user_message_limit_hour",
    "smtpd_user_recipient_limit_day",
    "smtpd_user_recipient_limit_hour",
    "strict_rfc821_envelopes",
};

bool
setting_is_vital(struct span name)
{
	static const char ending[] = "_restrictions";
	size_t len = sizeof(ending) - 1;

	for (size_t i = 0; i < sizeof(stricter_than_default) / sizeof(stricter_than_default[0]); i++)
		if (span_is(name, stricter_than_default[i]))
			return true;
	return (name.len > len && memcmp(name.ptr + name.len - len, ending, len) == 0) ||
	       span_starts(name, "authorized_");
}
