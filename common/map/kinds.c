#include "config.h"

#include "common/map/kinds.h"

static const struct map_kind *const kinds[] = {
    &map_kind_btree,
    &map_kind_cdb,
    &map_kind_cidr,
    &map_kind_environ,
    &map_kind_fail,
    &map_kind_hash,
    &map_kind_inline,
#ifdef HAVE_LDAP
    &map_kind_ldap,
#endif
#ifdef HAVE_LMDB
    &map_kind_lmdb,
#endif
#ifdef HAVE_MYSQL
    &map_kind_mysql,
#endif
#ifdef HAVE_OAUTH2
    &map_kind_oauth2,
#endif
#ifdef HAVE_PCRE
    &map_kind_pcre,
#endif
#ifdef HAVE_PGSQL
    &map_kind_pgsql,
#endif
    &map_kind_pipemap,
    &map_kind_randmap,
    &map_kind_regexp,
    &map_kind_socketmap,
#ifdef HAVE_SQLITE
    &map_kind_sqlite,
#endif
    &map_kind_static,
    &map_kind_tcp,
    &map_kind_texthash,
    &map_kind_unionmap,
    &map_kind_unix,
};

/* Kinds that need a library, and those of Postfix that are not here. */
static const char *const optional[] = {"ldap", "lmdb", "mysql", "oauth2", "pcre", "pgsql", "sqlite"};
static const char *const foreign[] = {"dbm", "memcache", "mongodb", "netinfo", "nis", "nisplus", "sdbm"};

const struct map_kind *
map_kind_find(struct span type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (span_is(type, kinds[i]->name))
			return kinds[i];
	return NULL;
}

void
map_kinds_each(void (*visit)(const char *name, void *context), void *context)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		visit(kinds[i]->name, context);
}

void
map_kind_explain(struct span type, struct error *err)
{
	for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
		if (!span_is(type, optional[i]))
			continue;
		error_set(
		    err, "%s tables are not built in here: configure --with-%s", optional[i], optional[i]);
		return;
	}
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		if (!span_is(type, foreign[i]))
			continue;
		error_set(err, "%s: Postern does not support tables of this kind", foreign[i]);
		return;
	}
	error_set(err, "unsupported dictionary type: %.*s", SPAN_ARG(type));
}
