/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/peer.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/attr.h"

/* Both ends of a TCP connection. */
struct ends {
	struct sockaddr_in6 ours, theirs; /* IPv4 as it is mapped into IPv6. */
	bool v4;
};

/* One answer: the header, struct inet_diag_msg and some attributes nobody asked for. */
#define ANSWER_BYTES 1024

/* Lines of /proc/net/tcp that are read at most: the walk must not become an attack. */
#define LINES_MAX 4096

static void map_v4(const struct sockaddr_in *from, struct sockaddr_in6 *to)
{
	*to = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = from->sin_port};
	to->sin6_addr.s6_addr[10] = to->sin6_addr.s6_addr[11] = 0xff;
	memcpy(&to->sin6_addr.s6_addr[12], &from->sin_addr, 4);
}

typedef int name_fn(int fd, struct sockaddr *address, socklen_t *length);

static bool read_end(int fd, name_fn *name, struct sockaddr_in6 *ret, bool *ret_v4)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof(address);

	if (name(fd, (struct sockaddr *)&address, &length) < 0)
		return false;
	if (address.ss_family == AF_INET6)
		memcpy(ret, &address, sizeof(*ret));
	else if (address.ss_family == AF_INET)
		map_v4((const struct sockaddr_in *)&address, ret);
	else
		return false;
	*ret_v4 = IN6_IS_ADDR_V4MAPPED(&ret->sin6_addr);
	return true;
}

static bool read_ends(int fd, struct ends *ret)
{
	return read_end(fd, getsockname, &ret->ours, &ret->v4) &&
	       read_end(fd, getpeername, &ret->theirs, &ret->v4);
}

static void put_address(const struct ends *ends, const struct sockaddr_in6 *from, __be32 to[4])
{
	if (ends->v4)
		memcpy(to, &from->sin6_addr.s6_addr[12], 4);
	else
		memcpy(to, &from->sin6_addr, 16);
}

struct diag_request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 body;
};

/* The socket at the other end: its source is our destination. */
static struct diag_request make_request(const struct ends *ends)
{
	struct diag_request request = {
		.header = {.nlmsg_len = sizeof(request),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST},
		.body = {.sdiag_family = ends->v4 ? AF_INET : AF_INET6,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = (__u32)-1},
	};
	struct inet_diag_sockid *id = &request.body.id;

	id->idiag_sport = ends->theirs.sin6_port;
	id->idiag_dport = ends->ours.sin6_port;
	put_address(ends, &ends->theirs, id->idiag_src);
	put_address(ends, &ends->ours, id->idiag_dst);
	id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return request;
}

/*
 * A socket that nobody holds any more has no inode, and root for its user.
 *
 * @return 0; -ENOENT (no such socket, or nobody's); other negative errno: the kernel cannot be asked.
 */
static int ask_diag(const struct ends *ends, uid_t *ret)
{
	CLEANUP_CLOSE int fd =
		socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	struct diag_request request = make_request(ends);
	union {
		struct nlmsghdr header;
		char bytes[ANSWER_BYTES];
	} answer;

	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	ssize_t length = recv(fd, &answer, sizeof(answer), 0);
	if (length < 0)
		return -errno;
	if (!NLMSG_OK(&answer.header, (size_t)length))
		return -EBADMSG;
	if (answer.header.nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = NLMSG_DATA(&answer.header);

		return error->error;
	}
	if (answer.header.nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
		return -EBADMSG;

	const struct inet_diag_msg *message = NLMSG_DATA(&answer.header);
	if (message->idiag_inode == 0)
		return -ENOENT;
	*ret = message->idiag_uid;
	return 0;
}

/* An address as /proc/net/tcp prints it: words of 32 bits, in the order of this machine. */
static void print_end(
	const struct ends *ends, const struct sockaddr_in6 *from, char *text, size_t size)
{
	uint32_t words[4];
	size_t count = ends->v4 ? 1 : 4, used = 0;

	memcpy(words, &from->sin6_addr.s6_addr[ends->v4 ? 12 : 0], count * sizeof(words[0]));
	for (size_t i = 0; i < count; i++)
		used += (size_t)snprintf(text + used, size - used, "%08" PRIX32, words[i]);
	snprintf(text + used, size - used, ":%04X", ntohs(from->sin6_port));
}

/*
 * "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
 * "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1 ..."
 */
static uid_t search_table(const struct ends *ends)
{
	CLEANUP_FILE FILE *table = fopen(ends->v4 ? "/proc/net/tcp" : "/proc/net/tcp6", "re");
	char line[512], local[64], remote[64], theirs[64], ours[64];
	unsigned long inode;
	unsigned uid;

	print_end(ends, &ends->theirs, theirs, sizeof(theirs));
	print_end(ends, &ends->ours, ours, sizeof(ours));
	for (int i = 0; table && i < LINES_MAX && fgets(line, sizeof(line), table); i++)
		if (sscanf(line, " %*[0-9]: %63s %63s %*s %*s %*s %*s %u %*s %lu", local, remote,
			    &uid, &inode) == 4 &&
			strcmp(local, theirs) == 0 && strcmp(remote, ours) == 0)
			return inode ? uid : PEER_UNKNOWN;
	return PEER_UNKNOWN;
}

static uid_t tcp_uid(int fd)
{
	struct ends ends;
	uid_t uid;

	if (!read_ends(fd, &ends))
		return PEER_UNKNOWN;
	int r = ask_diag(&ends, &uid);
	if (r == 0)
		return uid;
	return r == -ENOENT ? PEER_UNKNOWN : search_table(&ends);
}

uid_t peer_uid(int fd)
{
	struct ucred credentials;
	socklen_t length = sizeof(credentials);
	int domain = 0;
	socklen_t domain_length = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_length) < 0)
		return PEER_UNKNOWN;
	if (domain != AF_UNIX)
		return tcp_uid(fd);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
		return PEER_UNKNOWN;
	return credentials.uid;
}
