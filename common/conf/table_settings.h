/*
 * table_settings: parameters of tables in databases that stand in postern.conf itself: "ldap:people" has those that begin
 * with "people_", as ldap_table(5), mysql_table(5), pgsql_table(5) and sqlite_table(5) have it for main.cf.
 *
 * They may be secrets: master sends them to lookup alone, which opens all tables.
 */
#ifndef POSTERN_CONF_TABLE_SETTINGS_H
#define POSTERN_CONF_TABLE_SETTINGS_H

#include "common/conf/conf.h"

/* A kind whose name behind the colon is, unless it begins with '/' or '.', the beginning of parameters. */
bool conf_table_is_prefix(struct span type, struct span name);

/*
 * Moves *text behind the next such table's NAME, wherever it stands: in lists, within braces, in options of transports.
 * False at the end.
 */
bool conf_next_prefix_table(struct span *text, struct span *name);

/*
 * The table whose parameter this is: the longest NAME that some value of the configuration mentions as "ldap:NAME" or the
 * like and that, with a '_', the parameter begins with. Empty: none. Lives as long as c.
 */
struct span conf_table_of_setting(const struct conf *c, struct span setting);

/* Walks the global settings of the table as (the name behind "NAME_", expanded value). */
typedef void conf_visit_table_setting(const char *name, const char *value, void *context);
void conf_each_table_setting(
    const struct conf *c, struct span table, conf_visit_table_setting *visit, void *context);

/* A parameter without a row that holds a password: "NAME_bind_pw", "NAME_password". */
bool conf_is_secret_of_table(struct span setting);

#endif
