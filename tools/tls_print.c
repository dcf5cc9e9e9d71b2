#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "tools/tls.h"

/* ---- text ---- */

static void
print_lines(const char *indent, const struct buf *lines)
{
	struct span rest = buf_span(lines), line;

	while (span_next_line(&rest, &line))
		printf("%s%.*s\n", indent, SPAN_ARG(line));
}

static void
print_policy(const struct tls_policy *p)
{
	printf("%s: TLS level %s (%s)\n", p->site, tls_level_name(p->level), p->origin);
	if (p->level == TLS_LEVEL_INVALID || p->level == TLS_LEVEL_NONE)
		return;
	printf("  protocols %s, ciphers %s%s%s\n", p->protocols[0] ? p->protocols : "all", p->ciphers,
	    span_trim(span_of(p->exclude)).len > 0 ? " without " : "", span_trim(span_of(p->exclude)).ptr);
	if (p->match)
		printf("  names to match: %s\n", p->match);
	for (size_t i = 0; i < p->fingerprint_count; i++)
		printf("  fingerprint to match: %s %s\n", p->digest, p->fingerprints[i]);
	if (p->anchor_file[0])
		printf("  authorities: %s\n", p->anchor_file);
	if (p->wrapper)
		printf("  TLS from the first octet on, no STARTTLS\n");
}

static void
print_tls(const struct tls_host *h)
{
	printf("  %.*s\n", SPAN_ARG(buf_span(&h->summary)));
	if (h->servername[0])
		printf("  server name sent (SNI): %s\n", h->servername);
	print_lines("  certificate ", &h->chain);
	if (h->certificate_fingerprint[0])
		printf("  fingerprint: %s\n  fingerprint of its key: %s\n", h->certificate_fingerprint,
		    h->key_fingerprint);
	printf("  %s%s%s%s%s\n", h->standing, h->matched[0] ? ", matched " : "", h->matched,
	    h->untrusted[0] ? ": " : "", h->untrusted);
}

static void
print_host(const struct tls_host *h)
{
	printf("%s", h->relay);
	if (h->host.preference > 0)
		printf(" (MX %u)", h->host.preference);
	printf("\n");
	if (h->broke)
		printf("  TLS broke (%s): tried without\n", h->broke_why);
	if (h->standing[0])
		print_tls(h);
	if (!h->good)
		printf("  mail would not go there: %s %s\n", h->why.code, h->why.text);
	else
		printf("  mail would go there %s\n", h->in_tls ? "in TLS" : "in plain text");
}

void
tls_print_text(const struct tls_probe *p)
{
	if (strcmp(p->destination, p->site) != 0)
		printf("%s: next hop %s\n", p->destination, p->site);
	if (p->policy)
		print_policy(p->policy);
	for (size_t i = 0; i < p->count; i++)
		print_host(&p->hosts[i]);
	if (p->good)
		printf("%s: mail would be sent\n", p->destination);
	else if (p->count > 0)
		printf("%s: mail would wait\n", p->destination);
	else
		printf("%s: mail would %s: %s %s\n", p->destination,
		    p->why.class == OUTCOME_BOUNCED ? "be returned" : "wait", p->why.code, p->why.text);
}

/* ---- JSON ---- */

static void
put_text(struct buf *out, const char *name, struct span text)
{
	buf_printf(out, "%s\"%s\":\"", buf_ptr(out)[out->len - 1] == '{' ? "" : ",", name);
	text_append_json(out, text);
	buf_append_text(out, "\"");
}

static void
put_string(struct buf *out, const char *name, const char *text)
{
	if (text && text[0])
		put_text(out, name, span_of(text));
}

static void
put_bool(struct buf *out, const char *name, bool value)
{
	buf_printf(
	    out, "%s\"%s\":%s", buf_ptr(out)[out->len - 1] == '{' ? "" : ",", name, value ? "true" : "false");
}

static void
put_policy(struct buf *out, const struct tls_policy *p)
{
	buf_append_text(out, ",\"policy\":{");
	put_string(out, "level", tls_level_name(p->level));
	put_string(out, "origin", p->origin);
	put_string(out, "match", p->match);
	put_string(out, "protocols", p->protocols);
	put_string(out, "ciphers", p->ciphers);
	put_string(out, "servername", p->servername);
	buf_append_text(out, "}");
}

static void
put_chain(struct buf *out, const struct buf *chain)
{
	struct span rest = buf_span(chain), line;
	bool first = true;

	buf_append_text(out, ",\"certificates\":[");
	while (span_next_line(&rest, &line)) {
		buf_append_text(out, first ? "\"" : ",\"");
		text_append_json(out, line);
		buf_append_text(out, "\"");
		first = false;
	}
	buf_append_text(out, "]");
}

static void
put_host(struct buf *out, const struct tls_host *h)
{
	buf_append_text(out, "{");
	put_string(out, "host", h->host.name);
	put_string(out, "address", h->host.socket[0] ? h->host.socket : h->host.text);
	if (!h->host.socket[0])
		buf_printf(out, ",\"port\":%u,\"preference\":%u", ntohs(h->host.address.v4.sin_port),
		    h->host.preference);
	put_bool(out, "good", h->good);
	put_bool(out, "tls", h->in_tls);
	put_string(out, "tls_broke", h->broke_why);
	put_string(out, "protocol", h->protocol);
	put_string(out, "cipher", h->cipher);
	put_string(out, "standing", h->standing);
	put_string(out, "matched", h->matched);
	put_string(out, "untrusted", h->untrusted);
	put_string(out, "servername", h->servername);
	put_string(out, "fingerprint", h->certificate_fingerprint);
	put_string(out, "key_fingerprint", h->key_fingerprint);
	if (h->chain.len > 0)
		put_chain(out, &h->chain);
	if (!h->good) {
		put_string(out, "status", h->why.code);
		put_string(out, "reason", h->why.text);
	}
	buf_append_text(out, "}");
}

void
tls_print_json(const struct tls_probe *p)
{
	struct buf out;

	buf_init(&out, 16 << 20);
	buf_append_text(&out, "{");
	put_string(&out, "destination", p->destination);
	put_string(&out, "nexthop", p->site);
	put_string(&out, "verdict",
	    p->good                           ? "sent"
	    : p->why.class == OUTCOME_BOUNCED ? "bounced"
					      : "deferred");
	if (!p->good && p->count == 0) {
		put_string(&out, "status", p->why.code);
		put_string(&out, "reason", p->why.text);
	}
	if (p->policy)
		put_policy(&out, p->policy);
	buf_append_text(&out, ",\"hosts\":[");
	for (size_t i = 0; i < p->count; i++) {
		if (i > 0)
			buf_append_text(&out, ",");
		put_host(&out, &p->hosts[i]);
	}
	buf_append_text(&out, "]}\n");
	(void)fwrite(buf_ptr(&out), 1, out.len, stdout);
	buf_free(&out);
}
