#include "queue/index/check.h"

#include <string.h>

#include "queue/index/derive.h"
#include "queue/index/summary.h"

static bool
is_there(DB *db, struct span bytes)
{
	DBT key = dbt_of(bytes), value;

	memset(&value, 0, sizeof(value));
	return db->get(db, NULL, &key, &value, 0) == 0;
}

int
index_check(struct index *x, const struct index_row *row, struct error *err)
{
	struct derived d;
	int status;

	if (check_open(x, err) < 0)
		return -1;
	derived_init(&d);
	status = derive(x, NULL, row, &d, err);
	for (size_t i = 0; i < d.keys.count && status == 0; i++)
		if (!is_there(x->keys, key_list_at(&d.keys, i)))
			status = error_set(err, "the index lacks a key");
	for (uint32_t part = 0; part < d.parts && status == 0; part++) {
		char key[SUMMARY_KEY_SIZE];

		id_key(row->id, key);
		for (int i = 0; i < 4; i++)
			key[8 + i] = (char)(part >> (24 - 8 * i));
		if (!is_there(x->summaries, span_make(key, sizeof(key))))
			status = error_set(err, "the index lacks a summary");
	}
	derived_free(&d);
	return status;
}
