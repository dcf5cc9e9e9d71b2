pkglibexec_PROGRAMS += services/log/log
services_log_log_SOURCES = \
	services/log/destination.c services/log/destination.h \
	services/log/main.c
services_log_log_LDADD = $(LIBSERVER) $(EVENT_LIBS) $(SECCOMP_LIBS)
