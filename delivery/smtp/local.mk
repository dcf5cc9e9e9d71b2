# All but main: the tests link it too.
noinst_LIBRARIES += libdelivery.a
libdelivery_a_SOURCES = \
	delivery/smtp/agent.h \
	delivery/smtp/attempt.c delivery/smtp/attempt.h \
	delivery/smtp/command.c delivery/smtp/command.h \
	delivery/smtp/connection.c delivery/smtp/connection.h \
	delivery/smtp/content.c delivery/smtp/content.h \
	delivery/smtp/destination.c delivery/smtp/destination.h \
	delivery/smtp/hello.c delivery/smtp/hello.h \
	delivery/smtp/hosts.c delivery/smtp/hosts.h \
	delivery/smtp/job.c delivery/smtp/job.h \
	delivery/smtp/mime7bit.c delivery/smtp/mime7bit.h \
	delivery/smtp/mime_field.c delivery/smtp/mime_field.h \
	delivery/smtp/mx.c delivery/smtp/mx.h \
	delivery/smtp/own.c delivery/smtp/own.h \
	delivery/smtp/quoted.c delivery/smtp/quoted.h \
	delivery/smtp/remembered.c delivery/smtp/remembered.h \
	delivery/smtp/reply.c delivery/smtp/reply.h \
	delivery/smtp/route.c delivery/smtp/route.h \
	delivery/smtp/transaction.c delivery/smtp/transaction.h \
	delivery/smtp/verdict.c delivery/smtp/verdict.h

DELIVERY_LIBS = libdelivery.a $(LIBSERVER) $(LIBNET) $(LIBDNS) $(LIBMAIL) $(EVENT_LIBS) $(SECCOMP_LIBS) $(IDN2_LIBS)

pkglibexec_PROGRAMS += delivery/smtp/delivery
delivery_smtp_delivery_SOURCES = delivery/smtp/main.c
delivery_smtp_delivery_LDADD = $(DELIVERY_LIBS)
