#include "common/map/client_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int
load(const char *file, const struct client_symbol *symbols, struct error *err)
{
	void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL)
		return error_set(err, "the client library cannot be loaded: %s", dlerror());
	for (const struct client_symbol *s = symbols; s->name != NULL; s++) {
		*s->place = dlsym(library, s->name);
		if (*s->place == NULL)
			return error_set(err, "%s has no %s", file, s->name);
	}
	/* It is never unloaded: what it keeps for threads and at exit would be gone under its feet. */
	return 0;
}

int
client_library_load(const char *file, const struct client_symbol *symbols, int *loaded, struct error *err)
{
	int status = 0;

	(void)pthread_mutex_lock(&lock);
	if (!*loaded) {
		status = load(file, symbols, err);
		*loaded = status == 0;
	}
	(void)pthread_mutex_unlock(&lock);
	return status;
}
