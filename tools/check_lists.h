/*
 * check: the files that lists of domains name (mydestination = /etc/mail/domains), and the one of myorigin.
 */
#ifndef POSTERN_TOOLS_CHECK_LISTS_H
#define POSTERN_TOOLS_CHECK_LISTS_H

#include "common/base/error.h"
#include "common/conf/conf.h"

/* trouble: what is wrong with one, without the parameter's name. */
typedef void check_lists_tell(const char *parameter, const struct error *trouble, void *context);

void check_lists(const struct conf_values *values, check_lists_tell *tell, void *context);

#endif
