#include "common/map/kinds.h"

static const struct map_kind *const kinds[] = {
    &map_kind_btree,
    &map_kind_cidr,
    &map_kind_fail,
    &map_kind_hash,
    &map_kind_inline,
    &map_kind_regexp,
    &map_kind_static,
    &map_kind_texthash,
    &map_kind_unix,
};

const struct map_kind *
map_kind_find(struct span type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (span_is(type, kinds[i]->name))
			return kinds[i];
	return NULL;
}
