/*
 * lmdb: what the reader and the writer of lmdb tables share: the library's functions.
 */
#ifndef POSTERN_MAP_LMDB_H
#define POSTERN_MAP_LMDB_H

#include <lmdb.h>

#include "common/base/error.h"

#define LMDB_SYMBOLS(S)                                                                                      \
	S(mdb_env_create)                                                                                    \
	S(mdb_env_set_mapsize)                                                                               \
	S(mdb_env_open)                                                                                      \
	S(mdb_env_get_fd)                                                                                    \
	S(mdb_env_close)                                                                                     \
	S(mdb_env_sync)                                                                                      \
	S(mdb_txn_begin)                                                                                     \
	S(mdb_txn_renew)                                                                                     \
	S(mdb_txn_reset)                                                                                     \
	S(mdb_txn_commit)                                                                                    \
	S(mdb_txn_abort)                                                                                     \
	S(mdb_dbi_open)                                                                                      \
	S(mdb_get)                                                                                           \
	S(mdb_put)                                                                                           \
	S(mdb_del)                                                                                           \
	S(mdb_cursor_open)                                                                                   \
	S(mdb_cursor_get)                                                                                    \
	S(mdb_cursor_close)                                                                                  \
	S(mdb_strerror)
#define LMDB_MEMBER(function) __typeof__(function) *function;

struct lmdb_functions {
	LMDB_SYMBOLS(LMDB_MEMBER)
};
extern struct lmdb_functions lmdb_lib;

int lmdb_load(struct error *err);

/* Longest key that the library takes. */
enum { LMDB_KEY_MAX = 511 };

#endif
