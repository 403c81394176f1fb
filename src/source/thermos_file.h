/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A checkpoint stream on disk: read as it grows, never twice.
 *
 * What was read is remembered by the offset. A record cut short is left for the next time; a file
 * that is another (device, inode, time of birth), shrank, or begins differently is read from its
 * start, into an empty state. A record that cannot be may mean that the file was rewritten in place:
 * it is then read once from its start, and only if that fails, too, is it corrupt.
 */
#ifndef SOURCE_THERMOS_FILE_H
#define SOURCE_THERMOS_FILE_H

#include "source/thermos_state.h"

struct thermos_file {
	dev_t dev;
	ino_t ino;
	int64_t born_ns; /**< Of the file; 0 where the file system does not say. */
	uid_t owner;	 /**< Of the file: who may have written it. */
	int64_t size, mtime_ns;
	int64_t offset; /**< Of the first record not applied. */
	uint64_t head;	/**< Hash of its first head_length bytes. */
	uint32_t head_length;
	uint32_t begun; /**< How often it was begun at its start, into an empty state. */
	bool exists;	/**< It was read at least once. */
	bool fresh;	/**< Its end was not reached since it was begun at its start. */
	bool broken;	/**< Corrupt behind the offset: not read on. */
	bool more;	/**< Time was up before its end, or it could not be read just now. */
};

/** Memory to read into, shared by all files. A zeroed one is empty. */
struct thermos_buffer {
	uint8_t *bytes;
	size_t size;
};

void thermos_buffer_done(struct thermos_buffer *buffer);

/**
 * Read what is new and apply it.
 *
 * @path      Of the stream, below `base`.
 * @until_ns  CPU time of this thread at which to stop between two pieces: `more` is then set.
 * @return    1 the state may have changed; 0 nothing new (the file may not be there at all);
 *            -EBADMSG (corrupt from here on: the message says how; told once, the file is then
 *            `broken` and what was known stays known); others: it cannot be read now.
 */
int thermos_file_read(struct thermos_file *file, int base, const char *path,
	struct thermos_state *state, struct thermos_buffer *buffer, int64_t until_ns,
	struct tally_error *err);

#endif
