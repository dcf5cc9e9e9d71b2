#include "config.h"

#include "common/map/writer.h"

#include <string.h>

#include "common/map/kinds.h"

static const struct writer *const writers[] = {
    &writer_hash,
    &writer_btree,
    &writer_cdb,
#ifdef HAVE_LMDB
    &writer_lmdb,
#endif
};

const struct writer *
writer_find(const char *type, struct error *err)
{
	for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++)
		if (strcmp(writers[i]->type, type) == 0)
			return writers[i];
	if (map_kind_find(span_of(type)) != NULL)
		error_set(err, "unsupported map type for this operation: %s", type);
	else
		map_kind_explain(span_of(type), err);
	return NULL;
}
