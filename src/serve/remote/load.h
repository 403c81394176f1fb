/* SPDX-License-Identifier: Apache-2.0 */
/**
 * libcurl and snappy, loaded when remote write is asked for and not before: with what they need in
 * their turn they are twenty libraries, which would cost every start of the program its time and the
 * observer some 4 MB.
 */
#ifndef SERVE_REMOTE_LOAD_H
#define SERVE_REMOTE_LOAD_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <snappy-c.h>
#include <tally/error.h>

/** The functions that are used, by their names. */
#define REMOTE_CURL(X)                                                                             \
	X(curl_global_init)                                                                        \
	X(curl_easy_init)                                                                          \
	X(curl_easy_setopt)                                                                        \
	X(curl_easy_getinfo)                                                                       \
	X(curl_easy_strerror)                                                                      \
	X(curl_easy_cleanup)                                                                       \
	X(curl_multi_init)                                                                         \
	X(curl_multi_add_handle)                                                                   \
	X(curl_multi_remove_handle)                                                                \
	X(curl_multi_perform)                                                                      \
	X(curl_multi_poll)                                                                         \
	X(curl_multi_wakeup)                                                                       \
	X(curl_multi_info_read)                                                                    \
	X(curl_multi_cleanup)                                                                      \
	X(curl_slist_append)                                                                       \
	X(curl_slist_free_all)                                                                     \
	X(curl_url)                                                                                \
	X(curl_url_set)                                                                            \
	X(curl_url_get)                                                                            \
	X(curl_url_cleanup)                                                                        \
	X(curl_free)

#define REMOTE_SNAPPY(X)                                                                           \
	X(snappy_compress)                                                                         \
	X(snappy_max_compressed_length)

/** Pointers to them: remote_api.curl_easy_init(). */
struct remote_api {
#define X(name) __typeof__(name) *name;
	REMOTE_CURL(X)
	REMOTE_SNAPPY(X)
#undef X
};

extern struct remote_api remote_api;

/**
 * Load them. Again: nothing.
 *
 * @return  0, -ENOENT (the message names the library, and the package it is in).
 *
 * To be called before there are threads.
 */
int remote_load(struct tally_error *err);

#endif
