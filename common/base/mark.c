#include "common/base/mark.h"

#include "common/base/table.h"

uint64_t
secret_mark(struct span secret)
{
	static const uint8_t key[16] = {'P', 'o', 's', 't', 'e', 'r', 'n', ' ', 'm', 'a', 'r', 'k'};
	uint64_t mark = siphash(key, secret.ptr, secret.len);

	return mark != 0 ? mark : 1;
}
