noinst_LIBRARIES += libkeysources.a
libkeysources_a_SOURCES = services/keys/sources.c services/keys/sources.h

pkglibexec_PROGRAMS += services/keys/keys
services_keys_keys_SOURCES = services/keys/main.c
services_keys_keys_LDADD = $(LIBSERVER) $(EVENT_LIBS) $(SECCOMP_LIBS)
