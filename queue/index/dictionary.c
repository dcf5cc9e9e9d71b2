#include "queue/index/dictionary.h"

#include <endian.h>
#include <string.h>

#include "common/base/table.h"
#include "common/base/text.h"
#include "queue/index/sweep.h"

/*
 * 'k' kind hash: number; 'n' kind number: text. Two texts with one hash would share a number: with 64 bits under
 * a secret key that does not happen.
 */
enum { KEY_HASH_SIZE = 10, KEY_NUMBER_SIZE = 6, NUMBER_MAX = 0xfffffff0 };

static uint64_t
hash_of(const struct index *x, enum dictionary_kind kind, struct span text)
{
	return siphash(x->salt, text.ptr, text.len) ^ (uint64_t)kind * 0x9e3779b97f4a7c15u;
}

uint64_t
dictionary_hash(const struct index *x, struct span text)
{
	char folded[1024];
	uint64_t hash;

	if (text.len == 0)
		return 0;
	text = span_sub(text, 0, sizeof(folded));
	memcpy(folded, text.ptr, text.len);
	text_lower(folded, text.len);
	hash = siphash(x->salt, folded, text.len);
	return hash ? hash : 1;
}

static struct span
hash_key(char bytes[KEY_HASH_SIZE], enum dictionary_kind kind, uint64_t hash)
{
	bytes[0] = 'k';
	bytes[1] = (char)kind;
	hash = htobe64(hash);
	memcpy(bytes + 2, &hash, sizeof(hash));
	return span_make(bytes, KEY_HASH_SIZE);
}

static struct span
number_key(char bytes[KEY_NUMBER_SIZE], enum dictionary_kind kind, uint32_t number)
{
	bytes[0] = 'n';
	bytes[1] = (char)kind;
	number = htobe32(number);
	memcpy(bytes + 2, &number, sizeof(number));
	return span_make(bytes, KEY_NUMBER_SIZE);
}

static int
add(struct index *x, DB_TXN *txn, enum dictionary_kind kind, struct span hash, struct span text,
    uint32_t *number, struct error *err)
{
	char bytes[KEY_NUMBER_SIZE];
	uint32_t value = x->next_number;
	DBT key = dbt_of(hash), data = dbt_of(span_make(&value, sizeof(value)));
	int status;

	if (value >= NUMBER_MAX)
		return error_set(err, "index: the dictionary's numbers are used up");
	value = htole32(value);
	status = x->texts->put(x->texts, txn, &key, &data, 0);
	if (status == 0) {
		key = dbt_of(number_key(bytes, kind, x->next_number));
		data = dbt_of(text);
		status = x->texts->put(x->texts, txn, &key, &data, 0);
	}
	if (status != 0)
		return db_error(err, status, "adding a text");
	*number = x->next_number++;
	return 0;
}

int
dictionary_number(struct index *x, DB_TXN *txn, enum dictionary_kind kind, struct span text, uint32_t *number,
    struct error *err)
{
	char bytes[KEY_HASH_SIZE];
	uint64_t hash;
	uint32_t value = 0;
	DBT key, data;
	int status;

	*number = 0;
	if (text.len == 0)
		return 0;
	text = span_sub(text, 0, DICTIONARY_TEXT_MAX);
	hash = hash_of(x, kind, text);
	if (x->cache[hash % DICTIONARY_CACHE].hash == hash) {
		*number = x->cache[hash % DICTIONARY_CACHE].number;
		sweep_note(x, *number);
		return 0;
	}
	key = dbt_of(hash_key(bytes, kind, hash));
	memset(&data, 0, sizeof(data));
	data.data = &value;
	data.ulen = sizeof(value);
	data.flags = DB_DBT_USERMEM;
	status = x->texts->get(x->texts, txn, &key, &data, 0);
	if (status == DB_BUFFER_SMALL || (status == 0 && data.size != sizeof(value)))
		return error_set(err, "index: a number is damaged");
	if (status != 0 && status != DB_NOTFOUND)
		return db_error(err, status, "reading a number");
	if (status == 0)
		*number = le32toh(value);
	else if (!txn)
		return 0;
	else if (add(x, txn, kind, span_make(bytes, sizeof(bytes)), text, number, err) < 0)
		return -1;
	x->cache[hash % DICTIONARY_CACHE].hash = hash;
	x->cache[hash % DICTIONARY_CACHE].number = *number;
	sweep_note(x, *number);
	return 0;
}

int
dictionary_text(
    struct index *x, enum dictionary_kind kind, uint32_t number, struct buf *out, struct error *err)
{
	char bytes[KEY_NUMBER_SIZE];
	DBT key = dbt_of(number_key(bytes, kind, number)), data;
	int status;

	if (number == 0)
		return 1;
	memset(&data, 0, sizeof(data));
	status = x->texts->get(x->texts, NULL, &key, &data, 0);
	if (status == DB_NOTFOUND)
		return 0;
	if (status != 0)
		return db_error(err, status, "reading a text");
	if (data.size > DICTIONARY_TEXT_MAX || memchr(data.data, 0, data.size))
		return error_set(err, "index: a text is damaged");
	return buf_append(out, data.data, data.size) < 0 ? error_set(err, "index: a text is too long") : 1;
}

int
dictionary_each(struct index *x, enum dictionary_kind kind, uint32_t from, dictionary_visit *visit,
    void *context, struct error *err)
{
	char bytes[KEY_NUMBER_SIZE];
	DBT key = dbt_of(number_key(bytes, kind, from)), data;
	DBC *cursor;
	int status = x->texts->cursor(x->texts, NULL, &cursor, 0);

	if (status != 0)
		return db_error(err, status, "opening a cursor");
	memset(&data, 0, sizeof(data));
	status = cursor->get(cursor, &key, &data, DB_SET_RANGE);
	while (status == 0) {
		const char *found = key.data;
		uint32_t number;

		if (key.size != KEY_NUMBER_SIZE || memcmp(found, bytes, 2) != 0)
			break;
		memcpy(&number, found + 2, sizeof(number));
		if (data.size <= DICTIONARY_TEXT_MAX &&
		    !visit(be32toh(number), span_make(data.data, data.size), context))
			break;
		status = cursor->get(cursor, &key, &data, DB_NEXT);
	}
	cursor->close(cursor);
	return status == 0 || status == DB_NOTFOUND ? 0 : db_error(err, status, "reading texts");
}

int
dictionary_remove(struct index *x, DB_TXN *txn, enum dictionary_kind kind, uint32_t number, struct error *err)
{
	char bytes[KEY_NUMBER_SIZE], hash[KEY_HASH_SIZE];
	DBT key = dbt_of(number_key(bytes, kind, number)), other, data;
	int status;

	memset(&data, 0, sizeof(data));
	status = x->texts->get(x->texts, txn, &key, &data, 0);
	if (status == DB_NOTFOUND)
		return 0;
	if (status == 0) {
		other = dbt_of(hash_key(hash, kind, hash_of(x, kind, span_make(data.data, data.size))));
		status = x->texts->del(x->texts, txn, &other, 0);
	}
	if (status == 0 || status == DB_NOTFOUND)
		status = x->texts->del(x->texts, txn, &key, 0);
	return status == 0 ? 0 : db_error(err, status, "removing a text");
}

void
dictionary_forget(struct index *x, uint32_t next_number)
{
	memset(x->cache, 0, sizeof(x->cache));
	x->next_number = next_number;
}
