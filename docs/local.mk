dist_man_MANS += docs/man/mailq.1 docs/man/newaliases.1 docs/man/postern.8 docs/man/sendmail.1
man_MANS = docs/man/postern.conf.5
EXTRA_DIST += docs/admin docs/design docs/man/postern.conf.5.head docs/man/postern.conf.5.tail

# The reference of all parameters comes from the table that the parser works by.
noinst_PROGRAMS += docs/conf_manual
docs_conf_manual_SOURCES = docs/conf_manual.c
docs_conf_manual_LDADD = $(LIBCONF)
docs/man/postern.conf.5: docs/conf_manual$(EXEEXT) docs/man/postern.conf.5.head docs/man/postern.conf.5.tail
	$(AM_V_GEN)$(MKDIR_P) docs/man && docs/conf_manual$(EXEEXT) $(srcdir)/docs/man/postern.conf.5.head \
		$(srcdir)/docs/man/postern.conf.5.tail > $@.new && mv $@.new $@
CLEANFILES += docs/man/postern.conf.5

TESTS += tests/unit/docs/names_are_there.sh tests/unit/docs/system_paths.sh
EXTRA_DIST += tests/unit/docs/names_are_there.sh tests/unit/docs/system_paths.sh
