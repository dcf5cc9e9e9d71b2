noinst_LIBRARIES += libmap.a
libmap_a_SOURCES = \
	common/map/answers.c common/map/answers.h \
	common/map/blocks.c common/map/blocks.h \
	common/map/btree.c \
	common/map/btree_guide.c common/map/btree_guide.h \
	common/map/cdb.c common/map/cdb.h \
	common/map/chunks.c common/map/chunks.h \
	common/map/cidr.c \
	common/map/client_library.c common/map/client_library.h \
	common/map/client_meter.c common/map/client_meter.h \
	common/map/clients.c common/map/clients.h \
	common/map/composite.c \
	common/map/dbfile.c common/map/dbfile.h \
	common/map/dbpages.c \
	common/map/entries.c common/map/entries.h \
	common/map/file_values.c common/map/file_values.h \
	common/map/hash.c \
	common/map/inline.c \
	common/map/keys.c common/map/keys.h \
	common/map/kinds.c common/map/kinds.h \
	common/map/ldap.c common/map/ldap.h \
	common/map/ldap_search.c common/map/ldap_meter.c \
	common/map/lines.c common/map/lines.h \
	common/map/lmdb.c \
	common/map/lmdbfile.c common/map/lmdbfile.h \
	common/map/map.c common/map/map.h common/map/map_inside.h \
	common/map/map_watch.c \
	common/map/maplist.c common/map/maplist.h \
	common/map/memo.c common/map/memo.h \
	common/map/mentions.c common/map/mentions.h \
	common/map/mysql.c \
	common/map/netclient.c common/map/netclient.h \
	common/map/oauth2.c common/map/oauth2.h \
	common/map/oauth2_answer.c common/map/oauth2_answer.h \
	common/map/oauth2_file.c \
	common/map/oauth2_introspect.c \
	common/map/oauth2_memory.c common/map/oauth2_memory.h \
	common/map/oauth2_refresh.c \
	common/map/oauth2_request.c \
	common/map/oauth2_shared.c \
	common/map/patterns.c common/map/patterns.h \
	common/map/pcre.c \
	common/map/pgsql.c \
	common/map/query.c common/map/query.h \
	common/map/regexp.c \
	common/map/rules.c common/map/rules.h \
	common/map/settings.c common/map/settings.h \
	common/map/socketmap.c \
	common/map/source_age.c common/map/source_age.h \
	common/map/sqlite.c \
	common/map/static.c \
	common/map/tablefile.c common/map/tablefile.h \
	common/map/tcp.c \
	common/map/template.c common/map/template.h \
	common/map/texthash.c \
	common/map/unix.c
libmap_a_CPPFLAGS = $(AM_CPPFLAGS) $(PCRE_CFLAGS) $(SQLITE_CFLAGS) $(LDAP_CFLAGS) $(PGSQL_CFLAGS) $(MYSQL_CFLAGS) \
	$(LMDB_CFLAGS) $(OAUTH2_CFLAGS) $(JANSSON_CFLAGS)

# What writes table files: only the tools link Berkeley DB for that.
noinst_LIBRARIES += libmapfile.a
libmapfile_a_SOURCES = \
	common/map/mapfile.c common/map/mapfile.h \
	common/map/placing.c common/map/placing.h \
	common/map/writer.c common/map/writer.h \
	common/map/writer_cdb.c \
	common/map/writer_db.c \
	common/map/writer_lmdb.c
libmapfile_a_CPPFLAGS = $(AM_CPPFLAGS) $(LMDB_CFLAGS)
LIBMAPFILE = libmapfile.a $(LIBMAP) $(LIBBASE)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/map/test_kinds tests/unit/map/test_keys tests/unit/map/test_dbfile
tests_unit_map_test_kinds_SOURCES = tests/unit/map/test_kinds.c \
	tests/unit/map/table_files.c tests/unit/map/table_files.h
tests_unit_map_test_kinds_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_map_test_kinds_LDADD = $(LIBMAP) $(LIBBASE) $(CMOCKA_LIBS)
tests_unit_map_test_keys_SOURCES = tests/unit/map/test_keys.c
tests_unit_map_test_keys_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_map_test_keys_LDADD = $(LIBMAP) $(LIBBASE) $(CMOCKA_LIBS)
tests_unit_map_test_dbfile_SOURCES = tests/unit/map/test_dbfile.c \
	tests/unit/map/table_files.c tests/unit/map/table_files.h
tests_unit_map_test_dbfile_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_map_test_dbfile_LDADD = $(LIBMAPFILE) $(DB_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/map/test_btree_guide tests/unit/map/test_lmdbfile
tests_unit_map_test_lmdbfile_SOURCES = tests/unit/map/test_lmdbfile.c \
	tests/unit/map/table_files.c tests/unit/map/table_files.h
tests_unit_map_test_lmdbfile_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_map_test_lmdbfile_LDADD = $(LIBMAPFILE) $(DB_LIBS) $(CMOCKA_LIBS)
tests_unit_map_test_btree_guide_SOURCES = tests/unit/map/test_btree_guide.c \
	tests/unit/map/table_files.c tests/unit/map/table_files.h
tests_unit_map_test_btree_guide_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_map_test_btree_guide_LDADD = $(LIBMAPFILE) $(DB_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/map/test_answers tests/unit/map/test_formats tests/unit/map/test_blocks
check_PROGRAMS += tests/unit/map/test_memo
tests_unit_map_test_memo_SOURCES = tests/unit/map/test_memo.c
tests_unit_map_test_memo_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_map_test_memo_LDADD = $(LIBMAP) $(LIBBASE) $(CMOCKA_LIBS)
tests_unit_map_test_blocks_SOURCES = tests/unit/map/test_blocks.c
tests_unit_map_test_blocks_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_map_test_blocks_LDADD = $(LIBMAPFILE) $(CMOCKA_LIBS)
tests_unit_map_test_answers_SOURCES = tests/unit/map/test_answers.c
tests_unit_map_test_answers_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_map_test_answers_LDADD = $(LIBMAP) $(LIBBASE) $(CMOCKA_LIBS)
tests_unit_map_test_formats_SOURCES = tests/unit/map/test_formats.c \
	tests/unit/map/table_files.c tests/unit/map/table_files.h
tests_unit_map_test_formats_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_map_test_formats_LDADD = $(LIBMAPFILE) $(DB_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/map/test_clients
tests_unit_map_test_clients_SOURCES = tests/unit/map/test_clients.c \
	tests/unit/map/table_files.c tests/unit/map/table_files.h
tests_unit_map_test_clients_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_map_test_clients_LDADD = $(LIBMAP) $(LIBBASE) $(CMOCKA_LIBS)
if HAVE_OAUTH2
check_PROGRAMS += tests/unit/map/test_oauth2
tests_unit_map_test_oauth2_SOURCES = tests/unit/map/test_oauth2.c
tests_unit_map_test_oauth2_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_map_test_oauth2_LDADD = $(LIBMAP) $(LIBBASE) $(CMOCKA_LIBS)
endif
endif

check_PROGRAMS += tests/fuzz/fuzz_map_text tests/fuzz/fuzz_map_dbfile
tests_fuzz_fuzz_map_text_SOURCES = tests/fuzz/map_text.c tests/fuzz/driver.c
tests_fuzz_fuzz_map_text_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"map_text"'
tests_fuzz_fuzz_map_text_LDADD = $(LIBMAP) $(LIBBASE)
tests_fuzz_fuzz_map_dbfile_SOURCES = tests/fuzz/map_dbfile.c tests/fuzz/driver.c
tests_fuzz_fuzz_map_dbfile_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"map_dbfile"'
tests_fuzz_fuzz_map_dbfile_LDADD = $(LIBMAP) $(LIBBASE)
check_PROGRAMS += tests/fuzz/fuzz_map_answers
tests_fuzz_fuzz_map_answers_SOURCES = tests/fuzz/map_answers.c tests/fuzz/driver.c
tests_fuzz_fuzz_map_answers_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"map_answers"'
tests_fuzz_fuzz_map_answers_LDADD = $(LIBMAP) $(LIBBASE)
if HAVE_OAUTH2
check_PROGRAMS += tests/fuzz/fuzz_oauth2_answer
tests_fuzz_fuzz_oauth2_answer_SOURCES = tests/fuzz/oauth2_answer.c tests/fuzz/driver.c
tests_fuzz_fuzz_oauth2_answer_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"oauth2_answer"'
tests_fuzz_fuzz_oauth2_answer_LDADD = $(LIBMAP) $(LIBBASE)
endif
