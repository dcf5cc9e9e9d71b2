# postern tls: delivery's engine, with a resolver and tables of the tool's own.
tools_postern_SOURCES += \
	tools/tls.c tools/tls.h \
	tools/tls_agent.c tools/tls_agent.h \
	tools/tls_print.c
tools_postern_LDADD += libdelivery.a libsasl.a libtls.a $(IDN_LIBS) $(RESOLVER_LIBS) libroute.a libmapfile.a $(LIBMAP) \
	$(LIBSERVER) $(LIBNET) $(LIBDNS) $(LIBMAIL) $(LIBIPC) $(RESOLVER_SYSTEM_LIBS) $(SECCOMP_LIBS) $(OPENSSL_LIBS) $(DB_LIBS)
libconf_a_SOURCES += common/conf/derive.c common/conf/derive.h
