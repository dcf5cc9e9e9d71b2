#include "common/map/settings.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct conf *present;

void
map_settings_use(const struct conf *c)
{
	struct conf *next = conf_ref(c);

	(void)pthread_mutex_lock(&lock);
	struct conf *before = present;
	present = next;
	(void)pthread_mutex_unlock(&lock);
	if (before != NULL)
		conf_unref(&before);
}

void
map_settings_each(struct span table, conf_visit_table_setting *visit, void *context)
{
	(void)pthread_mutex_lock(&lock);
	struct conf *c = present != NULL ? conf_ref(present) : NULL;
	(void)pthread_mutex_unlock(&lock);
	if (c == NULL)
		return;
	conf_each_table_setting(c, table, visit, context);
	conf_unref(&c);
}
