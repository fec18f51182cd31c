# Stops the test server when nobody uses it any more.
#
# Every user holds the writing end of a named pipe, the lifeline; the kernel closes it when the
# user ends, however it ends. This script holds the reading end: end-of-file means that all
# have left. Whoever opens the pipe also writes a line, so that a visit leaves a trace.
#
# Arguments: the lifeline, the cluster, how long to wait for the next user in seconds.
lifeline=$1
cluster=$2
linger=$3

# Waits until every user has left; the number of those who came meanwhile. Nothing but this
# shell may hold the pipe: its reading end tells others that the watchdog lives.
count_visitors() {
    visitors=0
    while read -r _ <&3; do
        visitors=$((visitors + 1))
    done
}

linger() { sleep "$linger" 3<&-; }

mkfifo -m 600 "$lifeline" || exit 1
# Opening for reading alone would wait for a writer, who may have died meanwhile.
exec 4<>"$lifeline"
exec 3<"$lifeline"
exec 4>&-
linger

while :; do
    count_visitors
    if [ "$visitors" -gt 0 ]; then
        linger
        continue
    fi
    # Closed to newcomers; whoever came before that is let in after all.
    mv "$lifeline" "$lifeline.closed"
    count_visitors
    if [ "$visitors" -eq 0 ]; then
        break
    fi
    mv "$lifeline.closed" "$lifeline"
done

if read -r pid < "$cluster/postmaster.pid"; then
    if [ ! -d /proc/self ] || [ "$(readlink "/proc/$pid/cwd")" = "$cluster" ]; then
        kill -INT "$pid"
        tries=0
        while kill -0 "$pid" && [ -e "$cluster/postmaster.pid" ]; do
            tries=$((tries + 1))
            [ "$tries" -eq 50 ] && kill -QUIT "$pid"
            [ "$tries" -eq 150 ] && break
            sleep 0.1
        done
    fi
fi
rm -f "$lifeline.closed"
