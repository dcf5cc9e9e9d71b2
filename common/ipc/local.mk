noinst_LIBRARIES += libipc.a
libipc_a_SOURCES = \
	common/ipc/channel.c common/ipc/channel.h \
	common/ipc/codec.c common/ipc/codec.h \
	common/ipc/connect.c common/ipc/ipc.h \
	common/ipc/conversation.c common/ipc/conversation.h \
	common/ipc/messages.def \
	common/ipc/outqueue.c common/ipc/outqueue.h \
	common/ipc/protocol.c common/ipc/protocol.h \
	common/ipc/receive.c
