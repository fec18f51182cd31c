# Sourced by sync and oracle: what both do with relays that are not ours. They define $cache, $work,
# $results and `unavailable`; the relays that can be had are in `relays` after find_relays.
declare -A pids ports
relays=()

for name in $(compgen -e); do
    case $name in BIGBROTR__* | BIGBROTR_IMPLEMENTATION | BIGBROTR_SECRET_KEY | DATABASE_URL) unset "$name" ;; esac
done

say() { printf '%s (%s s)\n' "$1" "$SECONDS"; }

count() {
    printf '%s  %s\n' "$([ "$1" = passed ] && echo 'ok    ' || echo FAILED)" "$2"
    echo "$1" >>"$INTEROP_RESULTS"
}

# Asks a process to end; kills it when it does not within $2 seconds.
end() {
    local n
    [ -n "$1" ] || return 0
    kill -TERM "$1" 2>/dev/null || true
    for ((n = 0; n < $2 * 10; n++)); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# Ends relays and the node $node_pid, adds up the checks, and exits.
finish() {
    local code=$? passed failed name file n
    trap - EXIT INT TERM HUP
    set +e
    end "${step_pid:-}" 5
    end "$node_pid" 40
    # A node that had to be killed may have left its Postgres: SIGINT is its fast shutdown.
    for file in "$work"/data*/postgres/*/postmaster.pid; do
        [ -s "$file" ] || continue
        kill -INT "$(head -n 1 "$file")" 2>/dev/null
        for ((n = 0; n < 100; n++)); do [ -e "$file" ] && sleep 0.1; done
    done
    for name in "${!pids[@]}"; do end "${pids[$name]}" 5; done
    passed=$(grep -c '^passed$' "$INTEROP_RESULTS")
    failed=$(grep -c '^failed$' "$INTEROP_RESULTS")
    if [ "$code" != 0 ] && [ "$code" != 69 ] && [ "$failed" = 0 ]; then
        failed=1
        echo failed >>"$INTEROP_RESULTS"
    fi
    if [ "$failed" != 0 ]; then
        printf '\n-- the end of the log of the node\n'
        tail -n 30 "$work/node.log"
    fi
    cat "$INTEROP_RESULTS" >>"$results"
    if [ -n "$keep" ]; then printf 'kept: %s\n' "$work"; else rm -rf "$work"; fi
    if [ "$code" != 69 ]; then printf '%s passed, %s failed\n' "$passed" "$failed"; fi
    [ "$code" = 0 ] && [ "$failed" != 0 ] && code=1
    exit "$code"
}

give_up() {
    count failed "$1"
    exit 1
}

wait_for() {
    local limit=$1 pid=$2 what=$3 n
    shift 3
    for ((n = 0; n < limit * 5; n++)); do
        "$@" && return 0
        kill -0 "$pid" 2>/dev/null || give_up "$what: the process ended"
        sleep 0.2
    done
    give_up "$what: not within $limit s"
}

free_port() {
    node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })'
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

node_summary() { sed -n "s/^ *$1  *//p" "$work/node.out" | head -n 1; }
node_is_up() { grep -q '^ *key ' "$work/node.out"; }

# --- the relays: what each is, and how it starts on the port $1
start_nostr_relay() {
    sed "s|@PORT@|$1|; s|@DATABASE@|$work/nostr-relay.sqlite3|" interop/relay.yaml >"$work/nostr-relay.yaml"
    exec setsid "$cache/venv/bin/nostr-relay" -c "$work/nostr-relay.yaml" serve --use-uvicorn
}
start_builder() { exec setsid target/debug/examples/builder_relay "$1"; }
start_local() { exec setsid "$cache/venv/bin/python" interop/local_relay.py "$1" "${local_relay_cap:-300}"; }
start_nostr_rs_relay() {
    mkdir -p "$work/nostr-rs-relay"
    sed "s|@PORT@|$1|" interop/nostr-rs-relay.toml >"$work/nostr-rs-relay.toml"
    exec setsid "$nostr_rs_relay" --config "$work/nostr-rs-relay.toml" --db "$work/nostr-rs-relay"
}

start() {
    "start_$1" "${ports[$1]}" >>"$work/$1.log" 2>&1 &
    pids[$1]=$!
    wait_for 60 "${pids[$1]}" "$1 does not start" listens "${ports[$1]}"
}

url() { echo "ws://127.0.0.1:${ports[$1]}"; }

# Relays that cannot be had are skipped with a word.
find_relays() {
    if [ -x "$cache/venv/bin/nostr-relay" ]; then
        relays+=(nostr_relay local)
    else
        echo 'skipped nostr-relay and the relay of nostr-sdk: no Python packages, run interop/run once'
    fi
    if [ -x target/debug/examples/builder_relay ] ||
        cargo build -q -p bigbrotr-testkit --example builder_relay >"$work/build.log" 2>&1; then
        relays+=(builder)
    else
        echo 'skipped nostr-relay-builder: cargo build -p bigbrotr-testkit --example builder_relay fails'
    fi
    nostr_rs_relay=${INTEROP_NOSTR_RS_RELAY:-$cache/cargo/bin/nostr-rs-relay}
    if [ "$nostr_rs_relay" = build ]; then
        nostr_rs_relay=$cache/cargo/bin/nostr-rs-relay
        say "building nostr-rs-relay, once: this takes minutes, and needs protoc"
        # Not as it was locked: that does not build with a compiler of today.
        [ -x "$nostr_rs_relay" ] || CARGO_TARGET_DIR=$cache/cargo/target timeout 1500 \
            cargo install --quiet --root "$cache/cargo" nostr-rs-relay@0.8.12 >"$work/build.log" 2>&1 ||
            tail -n 5 "$work/build.log"
    fi
    if [ -x "$nostr_rs_relay" ]; then
        relays+=(nostr_rs_relay)
    else
        echo 'skipped nostr-rs-relay: it takes minutes to build; INTEROP_NOSTR_RS_RELAY=build, or its path'
    fi
}
