/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/remote/load.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include "base/attr.h"
#include "base/fail.h"

struct remote_api remote_api;

/* Debian's flavours of libcurl have one interface. GnuTLS is what libmicrohttpd uses, too. */
static const char *const curl_names[] = {"libcurl-gnutls.so.4", "libcurl.so.4", NULL};
static const char *const snappy_names[] = {"libsnappy.so.1", NULL};

/* What is to be found in a library, and where its address goes. */
struct symbol {
	const char *name;
	void *place;
};

#define X(name) {#name, &remote_api.name},
static const struct symbol curl_symbols[] = {REMOTE_CURL(X){NULL, NULL}};
static const struct symbol snappy_symbols[] = {REMOTE_SNAPPY(X){NULL, NULL}};
#undef X

static bool find_all(void *library, const struct symbol *symbols)
{
	for (; symbols->name; symbols++) {
		void *address = dlsym(library, symbols->name);

		if (!address)
			return false;
		memcpy(symbols->place, &address, sizeof(address));
	}
	return true;
}

/* It stays for good: its threads and tables may outlive whoever used it. */
static int load(const char *const *names, const struct symbol *symbols, const char *package,
	struct tally_error *err)
{
	for (size_t i = 0; names[i]; i++) {
		void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

		if (library && find_all(library, symbols))
			return 0;
		if (library)
			dlclose(library);
	}
	return tally_refuse(err, -ENOENT,
		"remote write needs %s, which cannot be loaded here; install the package %s",
		names[0], package);
}

int remote_load(struct tally_error *err)
{
	if (remote_api.curl_easy_init && remote_api.snappy_compress)
		return 0;
	int r = load(curl_names, curl_symbols, "libcurl3-gnutls", err);
	if (r == 0)
		r = load(snappy_names, snappy_symbols, "libsnappy1v5", err);
	return r;
}
