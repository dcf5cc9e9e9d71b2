noinst_LIBRARIES += libmap.a
libmap_a_SOURCES = \
	common/map/btree.c \
	common/map/cidr.c \
	common/map/dbfile.c common/map/dbfile.h \
	common/map/entries.c common/map/entries.h \
	common/map/hash.c \
	common/map/inline.c \
	common/map/keys.c common/map/keys.h \
	common/map/kinds.c common/map/kinds.h \
	common/map/lines.c common/map/lines.h \
	common/map/map.c common/map/map.h \
	common/map/maplist.c common/map/maplist.h \
	common/map/regexp.c \
	common/map/rules.c common/map/rules.h \
	common/map/static.c \
	common/map/texthash.c \
	common/map/unix.c

# What writes .db files: only the tools link Berkeley DB for that.
noinst_LIBRARIES += libmapfile.a
libmapfile_a_SOURCES = \
	common/map/mapfile.c common/map/mapfile.h \
	common/map/placing.c common/map/placing.h
LIBMAPFILE = libmapfile.a $(LIBMAP) $(LIBBASE)
