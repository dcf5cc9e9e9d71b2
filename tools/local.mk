# postern(8): a row in commands.def and its files here for each command.
sbin_PROGRAMS += tools/postern
tools_postern_SOURCES = \
	tools/postern.c \
	tools/check.c tools/check.h \
	tools/check_access.c tools/check_access.h \
	tools/check_aliases.c tools/check_aliases.h \
	tools/check_certificates.c \
	tools/check_files.c \
	tools/check_host.c \
	tools/check_actions.c tools/check_actions.h \
	tools/check_passwords.c tools/check_passwords.h \
	tools/check_policies.c tools/check_policies.h \
	tools/check_routes.c tools/check_routes.h \
	tools/check_sockets.c tools/check_sockets.h services/master/broker.c services/master/broker.h \
	tools/check_classes.c tools/check_classes.h \
	tools/check_tables.c \
	tools/check_place.c \
	tools/check_tls.c \
	tools/check_verdicts.c tools/check_verdicts.h \
	tools/check_lists.c tools/check_lists.h \
	tools/check_pipes.c tools/check_pipes.h \
	tools/config.c \
	tools/config_edit.c tools/config_edit.h \
	tools/config_edit_text.c \
	tools/config_facts.c tools/config_facts.h \
	tools/control.c \
	tools/layout.c tools/layout.h \
	tools/json_scan.c tools/json_scan.h \
	services/master/address.c services/master/address.h \
	services/master/claim.c services/master/claim.h \
	tools/logrotate.c \
	tools/map.c \
	tools/map_message.c tools/map_message.h \
	tools/password.c \
	tools/postlog.c tools/postlog.h services/log/destination.c services/log/destination.h services/master/logfile.c services/master/logfile.h \
	tools/queue.c \
	tools/queue_alone.c tools/queue_alone.h \
	tools/queue_ask.c tools/queue_ask.h \
	tools/queue_care.c tools/queue_care.h \
	tools/queue_drops.c tools/queue_drops.h \
	tools/queue_run.c tools/queue_run.h \
	tools/queue_edit.c \
	tools/queue_export.c \
	tools/queue_import.c \
	tools/queue_taker.c \
	tools/queue_taker.h \
	tools/queue_move.c tools/queue_move.h \
	tools/frame_client.c tools/frame_client.h \
	tools/queue_explain.c \
	tools/queue_names.c tools/queue_names.h tools/queue_shape.c \
	tools/explain_facts.c tools/explain_facts.h \
	tools/explain_text.c \
	tools/explain_json.c \
	tools/queue_options.c tools/queue_options.h \
	tools/queue_print.c tools/queue_print.h \
	tools/queue_stats.c tools/queue_stats.h \
	tools/queue_watch.c tools/queue_watch.h \
	tools/route.c \
	tools/route_aliases.c tools/route_aliases.h \
	delivery/local/alias_value.c delivery/local/alias_value.h \
	tools/running.c tools/running.h \
	tools/setup.c \
	tools/start.c tools/foreign.c tools/foreign.h \
	tools/talk.c \
	tools/terminal.c tools/terminal.h \
	tools/tls.c tools/tls.h \
	tools/tls_agent.c tools/tls_agent.h \
	tools/own_resolver.c tools/own_resolver.h \
	tools/tls_print.c \
	services/master/names.c \
	services/pickup/template.c services/pickup/template.h services/pickup/template_expand.c \
	tools/tool.c tools/tool.h tools/commands.def
tools_postern_LDADD = libdelivery.a libsasl.a libkeys.a libkeysources.a libtls.a $(RESOLVER_LIBS) libroute.a libmapfile.a \
	$(LIBPASSWORD) $(LIBMAP) $(LIBSERVER) $(LIBNET) $(LIBDNS) $(LIBMAIL) $(LIBCONF) $(IDN_LIBS) $(RESOLVER_SYSTEM_LIBS) \
	$(SECCOMP_LIBS) $(DB_LIBS) $(OPENSSL_LIBS)

# sendmail(1), and the program that lends it the drop directory's group ("postern setup" makes it set-gid).
sbin_PROGRAMS += tools/sendmail
tools_sendmail_SOURCES = \
	tools/frame_client.c tools/frame_client.h \
	tools/sendmail.c tools/sendmail.h \
	tools/sendmail_input.c tools/sendmail_input.h \
	tools/sendmail_recipients.c tools/sendmail_recipients.h \
	tools/own_resolver.c tools/own_resolver.h \
	tools/sendmail_makemap.c \
	tools/sendmail_mx.c \
	tools/sendmail_options.c tools/sendmail_options.h \
	tools/sendmail_options_queue.c \
	tools/sendmail_permission.c \
	tools/sendmail_postern.c tools/sendmail_postern.h \
	tools/sendmail_return.c \
	tools/sendmail_smtp.c smtpd/parameters.c smtpd/parameters.h \
	tools/sendmail_verify.c \
	tools/traffic_log.c tools/traffic_log.h \
	tools/spooled.c tools/spooled.h \
	tools/submit.c tools/submit.h
tools_sendmail_LDADD = $(RESOLVER_LIBS) $(LIBROUTE) $(LIBIPC) $(LIBBASE) $(RESOLVER_SYSTEM_LIBS) $(EVENT_LIBS) $(DB_LIBS)

# sendmail -bh: smtpd's engine with resolver's and lookup's in one process.
pkglibexec_PROGRAMS += tools/trial
tools_trial_SOURCES = tools/trial.c tools/trial_peers.c tools/trial_peers.h \
	tools/own_resolver.c tools/own_resolver.h \
	services/lookup/checks.c services/lookup/checks.h \
	services/lookup/desk.c services/lookup/desk.h
tools_trial_LDADD = libsmtpd.a libsasl.a libtls.a $(RESOLVER_LIBS) libroute.a libnet.a libmail.a $(LIBMAP) $(LIBNET) $(LIBDNS) $(LIBMAIL) \
	$(LIBCONF) $(LIBIPC) $(LIBBASE) $(RESOLVER_SYSTEM_LIBS) $(EVENT_LIBS) $(IDN2_LIBS) $(UNISTRING_LIBS) $(IDN_LIBS) $(DB_LIBS) $(OPENSSL_LIBS)

pkglibexec_PROGRAMS += tools/drop
tools_drop_SOURCES = tools/drop.c
tools_drop_LDADD = libmail.a libconf.a $(LIBBASE)

install-exec-hook: install-sendmail-names
install-sendmail-names:
	$(MKDIR_P) $(DESTDIR)$(bindir)
	for name in mailq newaliases; do ln -sf $(sbindir)/sendmail $(DESTDIR)$(bindir)/$$name || exit 1; done
uninstall-hook: uninstall-sendmail-names
uninstall-sendmail-names:
	for name in mailq newaliases; do rm -f $(DESTDIR)$(bindir)/$$name; done
.PHONY: install-sendmail-names uninstall-sendmail-names

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/tools/test_config_edit
tests_unit_tools_test_config_edit_SOURCES = tests/unit/tools/test_config_edit.c tools/config_edit_text.c
tests_unit_tools_test_config_edit_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_tools_test_config_edit_LDADD = $(LIBBASE) $(CMOCKA_LIBS)
endif
