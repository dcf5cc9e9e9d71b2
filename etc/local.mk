EXTRA_DIST += etc/postern.conf etc/aliases etc/postern.service.in etc/postern.sysusers etc/postern.tmpfiles.in \
	etc/fail2ban-filter.conf

# Paths are known only to make.
edit_paths = sed -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' \
	-e 's|@localstatedir[@]|$(localstatedir)|g'

etc/postern.service: etc/postern.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) etc && $(edit_paths) $(srcdir)/etc/postern.service.in > $@
etc/postern.tmpfiles: etc/postern.tmpfiles.in Makefile
	$(AM_V_GEN)$(MKDIR_P) etc && $(edit_paths) $(srcdir)/etc/postern.tmpfiles.in > $@
CLEANFILES += etc/postern.service etc/postern.tmpfiles

systemdsystemunitdir = $(prefix)/lib/systemd/system
nodist_systemdsystemunit_DATA = etc/postern.service

# Names differ where they are installed.
install-data-hook: install-etc
.PHONY: install-etc uninstall-etc
install-etc: etc/postern.tmpfiles tools/postern$(EXEEXT)
	$(MKDIR_P) "$(DESTDIR)$(prefix)/lib/sysusers.d" "$(DESTDIR)$(prefix)/lib/tmpfiles.d" \
		"$(DESTDIR)$(sysconfdir)/postern" "$(DESTDIR)$(sysconfdir)/fail2ban/filter.d"
	$(INSTALL_DATA) $(srcdir)/etc/postern.sysusers "$(DESTDIR)$(prefix)/lib/sysusers.d/postern.conf"
	$(INSTALL_DATA) etc/postern.tmpfiles "$(DESTDIR)$(prefix)/lib/tmpfiles.d/postern.conf"
	$(INSTALL_DATA) $(srcdir)/etc/fail2ban-filter.conf "$(DESTDIR)$(sysconfdir)/fail2ban/filter.d/postern.conf"
	$(INSTALL_DATA) $(srcdir)/etc/postern.conf "$(DESTDIR)$(sysconfdir)/postern/postern.conf.sample"
	test -e "$(DESTDIR)$(sysconfdir)/postern/postern.conf" || \
		$(INSTALL_DATA) $(srcdir)/etc/postern.conf "$(DESTDIR)$(sysconfdir)/postern/postern.conf"
	test -e "$(DESTDIR)$(sysconfdir)/aliases" || \
		$(INSTALL_DATA) $(srcdir)/etc/aliases "$(DESTDIR)$(sysconfdir)/aliases"
	test -e "$(DESTDIR)$(sysconfdir)/aliases.db" || \
		tools/postern$(EXEEXT) -c $(srcdir)/etc alias "hash:$(DESTDIR)$(sysconfdir)/aliases"

# What an administrator has changed stays.
uninstall-hook: uninstall-etc
uninstall-etc:
	rm -f "$(DESTDIR)$(prefix)/lib/sysusers.d/postern.conf" "$(DESTDIR)$(prefix)/lib/tmpfiles.d/postern.conf" \
		"$(DESTDIR)$(sysconfdir)/fail2ban/filter.d/postern.conf" \
		"$(DESTDIR)$(sysconfdir)/postern/postern.conf.sample"
	! cmp -s $(srcdir)/etc/postern.conf "$(DESTDIR)$(sysconfdir)/postern/postern.conf" || \
		rm -f "$(DESTDIR)$(sysconfdir)/postern/postern.conf"
	! cmp -s $(srcdir)/etc/aliases "$(DESTDIR)$(sysconfdir)/aliases" || \
		rm -f "$(DESTDIR)$(sysconfdir)/aliases" "$(DESTDIR)$(sysconfdir)/aliases.db"
