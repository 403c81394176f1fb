/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the Thrift library decode a record. Everything of Thrift and GLib is in this file, the code
 * generated from thermos.thrift included: it is compiled here, as it is, with the warnings it gives.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-function-type"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#include "source/thermos_types.c"
#pragma GCC diagnostic pop

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/fail.h"
#include "source/thermos_record.h"

/*
 * A transport that reads from memory of the caller's. The library's own one takes what was read out
 * of the front of its array, which makes reading quadratic in the length of a record.
 */
struct memory {
	ThriftTransport parent;
	const uint8_t *at, *end;
};

struct memory_class {
	ThriftTransportClass parent;
};

typedef struct memory Memory;
typedef struct memory_class MemoryClass;
static GType memory_get_type(void);
/* NOLINTNEXTLINE(performance-no-int-to-ptr): of GLib's making */
G_DEFINE_TYPE(Memory, memory, THRIFT_TYPE_TRANSPORT)

static struct memory *memory_of(ThriftTransport *transport)
{
	return (struct memory *)transport;
}

static size_t memory_left(ThriftTransport *transport)
{
	return (size_t)(memory_of(transport)->end - memory_of(transport)->at);
}

static gboolean memory_is_open(ThriftTransport *transport)
{
	return TRUE;
}

static gint32 memory_read(
	ThriftTransport *transport, gpointer buffer, guint32 length, GError **error)
{
	struct memory *memory = memory_of(transport);

	if (memory_left(transport) < length) {
		g_set_error(error, THRIFT_TRANSPORT_ERROR, THRIFT_TRANSPORT_ERROR_RECEIVE,
			"a value reaches beyond the end of its record");
		return -1;
	}
	memcpy(buffer, memory->at, length);
	memory->at += length;
	return (gint32)length;
}

/* The library asks before it reads a container; scan and memory_read() are the real checks. */
static gboolean memory_has(ThriftTransport *transport, glong length, GError **error)
{
	if (length >= 0 && (size_t)length <= memory_left(transport))
		return TRUE;
	g_set_error(error, THRIFT_TRANSPORT_ERROR, THRIFT_TRANSPORT_ERROR_RECEIVE,
		"a container reaches beyond the end of its record");
	return FALSE;
}

static void memory_class_init(MemoryClass *class)
{
	class->parent.is_open = memory_is_open;
	class->parent.read = memory_read;
	class->parent.read_all = memory_read;
	class->parent.checkReadBytesAvailable = memory_has;
}

static void memory_init(Memory *self)
{
}

/* GObjects, given back at the end of a scope. */
static void cleanup_object(void *object)
{
	GObject **pointer = object;

	if (*pointer)
		g_object_unref(*pointer);
}

#define CLEANUP_OBJECT CLEANUP(cleanup_object)

/* Seconds since the epoch as nanoseconds; 0 for what is no time of this world. */
static int64_t seconds_to_ns(gdouble seconds)
{
	return isfinite(seconds) && seconds > 0 && seconds < 9e9
		       ? (int64_t)(seconds * (double)NS_PER_S)
		       : 0;
}

static int64_t ms_to_ns(gint64 ms)
{
	return ms > 0 && ms < INT64_MAX / NS_PER_MS ? ms * NS_PER_MS : 0;
}

static int out_of_memory(struct tally_error *err)
{
	return tally_fail(err, -ENOMEM, "cannot decode a record");
}

/* The names stay the table's. */
static struct source_port *list_ports(GHashTable *table, size_t *ret_count)
{
	struct source_port *ports = calloc(g_hash_table_size(table) + 1, sizeof(*ports));
	GHashTableIter each;
	gpointer name, port;

	*ret_count = 0;
	if (!ports)
		return NULL;
	g_hash_table_iter_init(&each, table);
	while (g_hash_table_iter_next(&each, &name, &port))
		ports[(*ret_count)++] = (struct source_port){name, *(gint64 *)port};
	return ports;
}

static int take_header(const ThermosRunnerHeader *header, thermos_record_fn *take, void *context,
	struct tally_error *err)
{
	size_t port_count;
	CLEANUP_FREE struct source_port *ports = list_ports(header->ports, &port_count);
	struct thermos_record record = {
		.kind = THERMOS_HEADER,
		.header =
			{
				.task_id = header->task_id,
				.sandbox = header->sandbox,
				.hostname = header->hostname,
				.user = header->user,
				.log_dir = header->log_dir,
				.launch_ns = ms_to_ns(header->launch_time_ms),
				.has_uid = header->__isset_uid,
				.uid = (uid_t)header->uid,
				.ports = ports,
				.port_count = port_count,
			},
	};

	return ports ? take(context, &record, err) : out_of_memory(err);
}

static int take_process(const ThermosProcessStatus *status, thermos_record_fn *take, void *context,
	struct tally_error *err)
{
	struct thermos_record record = {
		.kind = THERMOS_PROCESS,
		.process =
			{
				.name = status->process,
				.has_seq = status->__isset_seq,
				.seq = status->seq,
				.state = status->__isset_state ? (int32_t)status->state : -1,
				.fork_ns = seconds_to_ns(status->fork_time),
				.start_ns = seconds_to_ns(status->start_time),
				.stop_ns = seconds_to_ns(status->stop_time),
				.pid = status->pid,
				.coordinator_pid = status->coordinator_pid,
				.return_code = status->return_code,
			},
	};

	return take(context, &record, err);
}

static int take_task(const ThermosTaskStatus *status, thermos_record_fn *take, void *context,
	struct tally_error *err)
{
	struct thermos_record record = {
		.kind = THERMOS_TASK,
		.task =
			{
				.state = status->__isset_state ? (int32_t)status->state : -1,
				.at_ns = ms_to_ns(status->timestamp_ms),
				.runner_pid = status->runner_pid,
			},
	};

	return take(context, &record, err);
}

static int take_branch(const ThermosRunnerCkpt *ckpt, thermos_record_fn *take, void *context,
	struct tally_error *err)
{
	const struct thermos_record other = {.kind = THERMOS_OTHER};

	if (ckpt->__isset_runner_header + ckpt->__isset_process_status + ckpt->__isset_task_status >
		1)
		return tally_refuse(err, -EBADMSG, "a record is of two kinds at once");
	if (ckpt->__isset_runner_header)
		return take_header(ckpt->runner_header, take, context, err);
	if (ckpt->__isset_process_status)
		return take_process(ckpt->process_status, take, context, err);
	if (ckpt->__isset_task_status)
		return take_task(ckpt->task_status, take, context, err);
	return take(context, &other, err);
}

/*
 * The table of ports hashes its keys by a function that everybody knows: 65,536 names of one hash
 * would take it minutes. Nobody looks a port up in it, so any numbers will do, and these spread.
 */
static guint spread(gconstpointer name)
{
	static __thread guint count;

	return count++;
}

static void spread_ports(ThermosRunnerHeader *header)
{
	g_hash_table_unref(header->ports);
	header->ports = g_hash_table_new_full(spread, g_str_equal, g_free, g_free);
}

/*
 * The generated finalizers do not call those of their parent class, where GLib gives back what it hangs
 * on an object while it is disposed of: each record would leak 32 bytes for every struct. They are
 * wrapped into ones that do.
 */
static struct {
	GType (*type)(void);
	void (*finalize)(GObject *object);
} finalizers[] = {
	{thermos_runner_ckpt_get_type, NULL},
	{thermos_runner_header_get_type, NULL},
	{thermos_process_status_get_type, NULL},
	{thermos_task_status_get_type, NULL},
};

static void finalize(GObject *object)
{
	GObjectClass *parent = g_type_class_peek_parent(G_OBJECT_GET_CLASS(object));

	for (size_t i = 0; i < ARRAY_SIZE(finalizers); i++)
		if (G_OBJECT_TYPE(object) == finalizers[i].type())
			finalizers[i].finalize(object);
	parent->finalize(object);
}

static void wrap_finalizers(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(finalizers); i++) {
		GObjectClass *class = g_type_class_ref(finalizers[i].type());

		finalizers[i].finalize = class->finalize;
		class->finalize = finalize;
	}
}

int thermos_decode(const uint8_t *bytes, size_t length, thermos_record_fn *take, void *context,
	struct tally_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, wrap_finalizers);
	CLEANUP_OBJECT struct memory *memory = g_object_new(memory_get_type(), NULL);
	CLEANUP_OBJECT ThriftProtocol *protocol =
		g_object_new(THRIFT_TYPE_BINARY_PROTOCOL, "transport", memory, NULL);
	CLEANUP_OBJECT ThermosRunnerCkpt *ckpt = g_object_new(TYPE_THERMOS_RUNNER_CKPT, NULL);
	GError *error = NULL;

	memory->at = bytes;
	memory->end = bytes + length;
	spread_ports(ckpt->runner_header);
	if (thrift_struct_read(THRIFT_STRUCT(ckpt), protocol, &error) < 0) {
		tally_refuse(err, -EBADMSG, "%s", error ? error->message : "Thrift refuses it");
		g_clear_error(&error);
		return -EBADMSG;
	}
	return take_branch(ckpt, take, context, err);
}
