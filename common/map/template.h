/*
 * template: the query and the result format of a table in a database, as ldap_table(5), pgsql_table(5) and their
 * kin describe them.
 *
 *	query    %s the key, %u its local part, %d its domain, %1..%9 labels of the domain from the right, %S %U %D the same
 *	result   %s a value, %u and %d of the value, %S %U %D %1..%9 of the key
 *
 * What is put in is always quoted by the kind. A query that needs a part that the key does not have is not made.
 */
#ifndef POSTERN_MAP_TEMPLATE_H
#define POSTERN_MAP_TEMPLATE_H

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"

/* Appends text so that it stands for itself. -1 if it cannot be quoted (the query is then not made). */
typedef int template_quote(struct buf *out, struct span text, void *context);

/* -1 with err if there is something behind a % that means nothing. what: the parameter's name. */
int template_check(const char *template, const char *what, struct error *err);

/* Appends the query for key. quote NULL: nothing is quoted. 1; 0 if the key lacks what is needed, or out is full. */
int template_query(
    const char *template, struct span key, template_quote *quote, void *context, struct buf *out);

/* The same for one value of a result. */
int template_result(const char *template, struct span value, struct span key, struct buf *out);

/* True if the template puts anything in between no quotes: SQL of the key's sender would be obeyed. */
bool template_is_bare(const char *template);

#endif
