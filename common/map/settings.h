/*
 * settings: the configuration in which tables of databases find their parameters when these stand in postern.conf itself
 * (common/conf/table_settings.h). One for the process; tables that are opened from then on see it. From any thread.
 */
#ifndef POSTERN_MAP_SETTINGS_H
#define POSTERN_MAP_SETTINGS_H

#include "common/conf/table_settings.h"

/* Keeps a reference of its own. Whoever opens tables and never calls this has none with such parameters. */
void map_settings_use(const struct conf *c);

void map_settings_each(struct span table, conf_visit_table_setting *visit, void *context);

#endif
