pkglibexec_PROGRAMS += services/auth/auth
services_auth_auth_SOURCES = \
	services/auth/check.c services/auth/check.h \
	services/auth/checks.c services/auth/checks.h \
	services/auth/main.c
services_auth_auth_LDADD = $(LIBSERVER) $(EVENT_LIBS) $(SECCOMP_LIBS) $(PAM_LIBS)
