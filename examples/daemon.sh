#!/bin/sh
# A daemon of the old school: whoever starts it gets an exit status at once, and it goes on without
# a parent, in a session of its own. Ends on SIGTERM.
if [ "${1-}" != serve ]; then
	(setsid "$0" serve &)
	exit 0
fi
trap 'echo "daemon: ends"; exit 0' TERM
echo "daemon: serves as pid $$"
while :; do
	sleep 1 &
	wait $!
done
