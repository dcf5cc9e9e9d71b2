#include "services/lookup/engine/engine.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/mail/domain_form.h"
#include "common/map/lines.h"
#include "services/lookup/engine/interfaces.h"

enum { OWN_ADDRESSES_MAX = 10000, ORIGIN_FILE_MAX = 65536, ENGINE_TEXT_MAX = 1 << 20 };

struct transport
transport_split(struct span text)
{
	struct transport t = {.name = text};
	ptrdiff_t colon = span_find(text, ':');

	if (colon < 0)
		return t;
	t.name = span_sub(text, 0, (size_t)colon);
	t.nexthop = span_from(text, (size_t)colon + 1);
	return t;
}

/* myorigin may be the name of a file whose first line is meant (Debian's /etc/mailname). */
static char *
origin_read(const struct conf_values *v)
{
	char *origin = mem_strdup(v->myorigin[0] != '\0' ? v->myorigin : v->myhostname);

	if (origin[0] == '/') {
		struct error ignored;
		size_t len = 0;
		struct span rest, line = {0};
		char *bytes = lines_load(origin, ORIGIN_FILE_MAX, &len, &ignored);
		rest = span_make(bytes, len);
		if (bytes != NULL && span_next_line(&rest, &line))
			line = span_trim(line);
		free(origin);
		origin = line.len > 0 ? mem_strndup(line.ptr, line.len) : mem_strdup(v->myhostname);
		free(bytes);
	}
	text_lower(origin, strlen(origin));
	return origin;
}

/* False if it is no address. */
static bool
add_own(struct route_engine *e, struct span address)
{
	static char present;
	char text[64], canonical[64];
	uint8_t bytes[16];

	if (address.len >= 2 && address.ptr[0] == '[' && address.ptr[address.len - 1] == ']')
		address = span_sub(address, 1, address.len - 2);
	if (!span_copy(address, text, sizeof(text)))
		return false;
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(family, text, bytes) != 1 ||
	    inet_ntop(family, bytes, canonical, sizeof(canonical)) == NULL)
		return false;
	(void)table_put(e->own_addresses, span_of(canonical), &present);
	return true;
}

static void
add_interfaces(struct route_engine *e, const char *list)
{
	struct span rest = span_of(list), word;

	while (conf_list_next(&rest, &word)) {
		bool all = span_is_nocase(word, "all");
		bool loopback = span_is_nocase(word, "loopback-only") || span_is_nocase(word, "localhost");
		/* Names are looked up by master alone; they mean some of this host's addresses. */
		if (!loopback && !all)
			all = !add_own(e, word);
		for (size_t i = 0; e->interfaces != NULL && i < e->interfaces->count; i++)
			if (all || (loopback && e->interfaces->list[i].loopback))
				add_own(e, span_of(e->interfaces->list[i].address));
	}
}

bool
engine_is_own_literal(const struct route_engine *e, struct span domain)
{
	char text[64];

	return domain.len > 2 && domain.ptr[0] == '[' && address_literal_parse(domain, text) &&
	       table_get(e->own_addresses, span_of(text)) != NULL;
}

enum lookup_status
engine_is_local(struct route_engine *e, struct span domain, struct map_found *found)
{
	if (engine_is_own_literal(e, domain)) {
		found->table = "inet_interfaces";
		return LOOKUP_FOUND;
	}
	return domains_match(&e->local, domain, found);
}

/* canonical(5), virtual(5): "user" also stands for user@domain where that is $myorigin or ours. */
static bool
is_local_for_keys(struct span domain, void *context)
{
	struct route_engine *e = context;
	struct map_found found;

	if (span_equal_nocase(domain, span_of(e->myorigin)))
		return true;
	map_found_init(&found);
	enum lookup_status status = engine_is_local(e, domain, &found);
	map_found_free(&found);
	return status == LOOKUP_FOUND;
}

static bool
always_local(struct span domain, void *context)
{
	(void)domain;
	(void)context;
	return true;
}

static struct maplist *
list_of(struct map_set *maps, const char *text)
{
	return map_set_list(maps, span_of(text), NULL);
}

static void
open_tables(struct route_engine *e, struct map_set *maps)
{
	const struct conf_values *v = e->values;

	e->local_recipients = list_of(maps, v->local_recipient_maps);
	e->relay_recipients = list_of(maps, v->relay_recipient_maps);
	e->virtual_mailboxes = list_of(maps, v->virtual_mailbox_maps);
	e->virtual_aliases = list_of(maps, v->virtual_alias_maps);
	e->canonical = list_of(maps, v->canonical_maps);
	e->recipient_canonical = list_of(maps, v->recipient_canonical_maps);
	e->sender_canonical = list_of(maps, v->sender_canonical_maps);
	e->smtp_generic = list_of(maps, v->smtp_generic_maps);
	e->lmtp_generic = list_of(maps, v->lmtp_generic_maps);
	e->recipient_bcc = list_of(maps, v->recipient_bcc_maps);
	e->sender_bcc = list_of(maps, v->sender_bcc_maps);
	e->transports = list_of(maps, v->transport_maps);
	e->relocated = list_of(maps, v->relocated_maps);
	e->sender_relayhosts = list_of(maps, v->sender_dependent_relayhost_maps);
	e->sender_transports = list_of(maps, v->sender_dependent_default_transport_maps);
	e->login_senders = list_of(maps, v->local_login_sender_maps);
	domains_init(&e->local, "mydestination", v->mydestination, DOMAINS_EXACT, maps);
	domains_init(
	    &e->virtual_alias, "virtual_alias_domains", v->virtual_alias_domains, DOMAINS_EXACT, maps);
	domains_init(
	    &e->virtual_mailbox, "virtual_mailbox_domains", v->virtual_mailbox_domains, DOMAINS_EXACT, maps);
	domains_init(&e->masquerade_exceptions, "masquerade_exceptions", v->masquerade_exceptions,
	    DOMAINS_EXACT, maps);
	domains_init(
	    &e->submitters, "authorized_submit_users", v->authorized_submit_users, DOMAINS_EXACT, maps);
	bool parents = conf_list_has(v->parent_domain_matches_subdomains, "relay_domains");
	domains_init(&e->relay, "relay_domains", v->relay_domains,
	    parents ? DOMAINS_PARENTS : DOMAINS_DOT_PARENTS, maps);
}

static void
prepare_keys(struct route_engine *e)
{
	const struct conf_values *v = e->values;
	const char *parents = v->parent_domain_matches_subdomains;

	e->mail_keys = (struct map_keys){.delimiters = v->recipient_delimiter,
	    .split_owners = !v->owner_request_special,
	    .is_local = is_local_for_keys,
	    .context = e};
	e->recipient_keys = e->mail_keys;
	e->recipient_keys.is_local = always_local;
	e->access_keys = e->mail_keys;
	e->access_keys.origin = v->append_at_myorigin ? e->myorigin : NULL;
	e->access_keys.parent_matches = conf_list_has(parents, "smtpd_access_maps");
	e->transport_keys = e->mail_keys;
	e->transport_keys.parent_matches = conf_list_has(parents, "transport_maps");
}

static unsigned
uses_of(const char *classes)
{
	static const struct {
		const char *word;
		enum address_use use;
	} words[] = {
	    {"envelope_sender", USE_ENVELOPE_SENDER},
	    {"envelope_recipient", USE_ENVELOPE_RECIPIENT},
	    {"header_sender", USE_HEADER_SENDER},
	    {"header_recipient", USE_HEADER_RECIPIENT},
	};
	unsigned uses = 0;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (conf_list_has(classes, words[i].word))
			uses |= words[i].use;
	return uses;
}

static void
read_masquerade(struct route_engine *e, const char *list)
{
	struct span rest = span_of(list), word;
	size_t count = 0;

	while (conf_list_next(&rest, &word))
		count++;
	e->masquerade = arena_alloc(e->memory, (count + 1) * sizeof(e->masquerade[0]));
	rest = span_of(list);
	while (e->masquerade != NULL && conf_list_next(&rest, &word)) {
		struct masquerade m = {0};
		char alabels[DOMAIN_FORM_MAX];
		for (; word.len > 0 && word.ptr[0] == '!'; word = span_from(word, 1))
			m.negated = !m.negated;
		char *domain =
		    arena_copy(e->memory, domain_to_alabels(word, alabels) ? span_of(alabels) : word);
		if (domain == NULL || word.len == 0)
			continue;
		text_lower(domain, strlen(domain));
		m.domain = span_of(domain);
		e->masquerade[e->masquerade_count++] = m;
	}
}

struct route_engine *
route_new(const struct conf *conf, struct map_set *maps, const struct route_interfaces *interfaces)
{
	struct route_engine *e = mem_alloc(sizeof(*e));
	const struct conf_values *v = conf->values;

	e->conf = conf_ref(conf);
	e->values = v;
	e->interfaces = interfaces;
	e->myorigin = origin_read(v);
	e->own_addresses = table_new(OWN_ADDRESSES_MAX, NULL);
	add_interfaces(e, v->inet_interfaces);
	add_interfaces(e, v->proxy_interfaces);
	open_tables(e, maps);
	prepare_keys(e);
	e->local_transport = transport_split(span_of(v->local_transport));
	e->virtual_transport = transport_split(span_of(v->virtual_transport));
	e->relay_transport = transport_split(span_of(v->relay_transport));
	e->default_transport = transport_split(span_of(v->default_transport));
	e->canonical_uses = uses_of(v->canonical_classes);
	e->recipient_canonical_uses = uses_of(v->recipient_canonical_classes);
	e->sender_canonical_uses = uses_of(v->sender_canonical_classes);
	e->masquerade_uses = uses_of(v->masquerade_classes);
	e->memory = arena_new(ENGINE_TEXT_MAX);
	read_masquerade(e, v->masquerade_domains);
	e->extension_canonical = conf_list_has(v->propagate_unmatched_extensions, "canonical");
	e->extension_virtual = conf_list_has(v->propagate_unmatched_extensions, "virtual");
	e->extension_generic = conf_list_has(v->propagate_unmatched_extensions, "generic");
	map_found_init(&e->found);
	return e;
}

void
route_free(struct route_engine **e)
{
	if (*e == NULL)
		return;
	domains_fini(&(*e)->local);
	domains_fini(&(*e)->virtual_alias);
	domains_fini(&(*e)->virtual_mailbox);
	domains_fini(&(*e)->relay);
	domains_fini(&(*e)->masquerade_exceptions);
	domains_fini(&(*e)->submitters);
	arena_free(&(*e)->memory);
	map_found_free(&(*e)->found);
	table_free(&(*e)->own_addresses);
	free((*e)->myorigin);
	conf_unref(&(*e)->conf);
	free(*e);
	*e = NULL;
}

const struct map_keys *
route_keys(const struct route_engine *e, enum lookup_form form)
{
	switch (form) {
	case LOOKUP_TRANSPORT:
		return &e->transport_keys;
	case LOOKUP_MAIL:
	case LOOKUP_VIRTUAL:
	case LOOKUP_LOCAL:
		return &e->mail_keys;
	default:
		return &e->access_keys;
	}
}
