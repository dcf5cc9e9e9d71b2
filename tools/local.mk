# postern(8): a row in commands.def and its files here for each command.
sbin_PROGRAMS += tools/postern
tools_postern_SOURCES = \
	tools/postern.c \
	tools/check.c tools/check.h \
	tools/check_tables.c \
	tools/config.c \
	tools/config_edit.c tools/config_edit.h \
	tools/control.c \
	tools/layout.c tools/layout.h \
	tools/map.c \
	tools/route.c \
	tools/running.c tools/running.h \
	tools/setup.c \
	tools/start.c \
	tools/talk.c \
	tools/tool.c tools/tool.h tools/commands.def
tools_postern_LDADD = libroute.a libmapfile.a $(LIBMAP) $(LIBIPC) $(LIBCONF) $(EVENT_LIBS) $(DB_LIBS)
