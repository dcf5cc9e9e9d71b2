/*
 * ldap: what the files of the kind share: ldap.c (parameters, connection), ldap_search.c (searches and results),
 * ldap_meter.c (how much may be answered).
 */
#ifndef POSTERN_MAP_LDAP_H
#define POSTERN_MAP_LDAP_H

#include <ldap.h>

#include "common/map/clients.h"
#include "common/map/query.h"

#define LDAP_SYMBOLS(S)                                                                                      \
	S(ldap_initialize)                                                                                   \
	S(ldap_set_option)                                                                                   \
	S(ldap_get_option)                                                                                   \
	S(ldap_sasl_bind_s)                                                                                  \
	S(ldap_start_tls_s)                                                                                  \
	S(ldap_unbind_ext_s)                                                                                 \
	S(ldap_search_ext)                                                                                   \
	S(ldap_abandon_ext)                                                                                  \
	S(ldap_result)                                                                                       \
	S(ldap_parse_result)                                                                                 \
	S(ldap_first_entry)                                                                                  \
	S(ldap_next_entry)                                                                                   \
	S(ldap_get_values_len)                                                                               \
	S(ldap_value_free_len)                                                                               \
	S(ldap_msgfree)                                                                                      \
	S(ldap_err2string)                                                                                   \
	S(ldap_url_parse)                                                                                    \
	S(ldap_free_urldesc)                                                                                 \
	S(ldap_memfree)                                                                                      \
	S(ber_sockbuf_add_io)                                                                                \
	S(ber_sockbuf_ctrl)
#define LDAP_MEMBER(function) __typeof__(function) *function;

struct ldap_functions {
	LDAP_SYMBOLS(LDAP_MEMBER)
};
extern struct ldap_functions ldap_lib;

/* What an entry's attribute means: ldap_table(5). */
enum ldap_attribute_role { LDAP_RESULT, LDAP_LEAF, LDAP_TERMINAL, LDAP_SPECIAL, LDAP_ROLES };

struct directory {
	struct tablefile *file;
	struct query query; /* the template is query_filter */
	struct clients *clients;
	const char *search_base;
	int scope;
	unsigned long recursion_limit;
	char **attributes; /* of all roles, for the search; ends in NULL */
	enum ldap_attribute_role *roles;
	size_t attribute_count;
	/* connection */
	bool bind, start_tls, chase_referrals;
	int version, dereference, size_limit, require_cert;
	const char *bind_dn, *bind_pw, *port;
	const char *ca_file, *ca_dir, *cert, *key, *ciphers;
};

struct ldap_connection {
	LDAP *ld;
	ldap_conncb callback;
	size_t taken; /* of CLIENT_ANSWER_MAX, by all the answers that are held now */
};

/* From now on reading fails, on any socket of the handle, when c->taken is beyond CLIENT_ANSWER_MAX. */
void ldap_meter(struct ldap_connection *c);

/* "LDAP: text", and whether the connection is of no use any more. */
bool ldap_trouble(LDAP *ld, int number, struct error *err);

/* The whole question: filter, base, search, entries, what they refer to. */
enum lookup_status ldap_ask(void *table, void *connection, const struct client_question *q,
    int64_t deadline_us, bool *lost, struct error *err);

#endif
