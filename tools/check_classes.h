/*
 * check: domains that belong to two address classes, of which only the first counts: mydestination,
 * virtual_alias_domains, virtual_mailbox_domains, relay_domains. That mydestination and relay_domains share names is usual.
 */
#ifndef POSTERN_TOOLS_CHECK_CLASSES_H
#define POSTERN_TOOLS_CHECK_CLASSES_H

#include "common/conf/conf.h"

/* text: "warning: ..."; parameter: the one in which the domain does not count. */
typedef void check_classes_tell(const char *parameter, const char *text, void *context);

/* Names, files of names, and tables that can be listed; patterns and servers are asked for names that stand elsewhere. */
void check_classes(const struct conf_values *values, check_classes_tell *tell, void *context);

#endif
