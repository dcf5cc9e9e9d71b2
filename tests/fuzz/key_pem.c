/* Files of keys and certificates: read within their bounds, refused with a reason. */
#include <stdint.h>
#include <stdlib.h>

#include "services/keys/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
run(const struct pem_text *chain, const struct pem_text *key)
{
	struct error err = {0};
	struct identity_list *list = identity_list_read(chain, 1, key, &err);

	if (list == NULL && err.text[0] == '\0')
		abort();
	for (size_t i = 0; list && i < list->count; i++) {
		if (list->items[i].key == NULL || list->items[i].certificate_count == 0)
			abort();
	}
	identity_list_free(&list);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct pem_text text = {"/p", span_make(data, size)};

	run(&text, NULL);
	run(&text, &text);
	return 0;
}
