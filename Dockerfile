# Three images from one file: `node` (the last, built by default), and `pgbouncer` and `tor` for
# those who want them beside it. compose.yaml builds all of them; docs/containers.md explains them.
#
# hadolint global ignore=DL3008
# (Debian's stable packages get fixes only: the newest is the one to have.)
ARG RUST_VERSION=1.95

FROM rust:${RUST_VERSION}-bookworm AS build
WORKDIR /src
# Function names in a panic's backtrace, and a quarter of the size.
ENV CARGO_PROFILE_RELEASE_DEBUG=false \
    CARGO_PROFILE_RELEASE_STRIP=debuginfo \
    CARGO_INCREMENTAL=0
# The dependencies in a layer of their own: our crates are empty in it, so that it is built again
# only when a manifest changes.
COPY Cargo.toml Cargo.lock ./
COPY core/Cargo.toml core/
COPY schema/Cargo.toml schema/
COPY crawler/Cargo.toml crawler/
COPY relay/Cargo.toml relay/
COPY dvm/Cargo.toml dvm/
COPY testkit/Cargo.toml testkit/
COPY node/Cargo.toml node/
# hadolint ignore=SC2013
RUN set -eu; \
    for crate in core schema crawler relay dvm testkit node; do \
        mkdir -p "$crate/src" "$crate/benches"; \
        touch "$crate/src/lib.rs"; \
        for bench in $(sed -n '/^\[\[bench\]\]/,/^name/s/^name = "\(.*\)"/\1/p' "$crate/Cargo.toml"); do \
            touch "$crate/benches/$bench.rs"; \
        done; \
    done; \
    rm node/src/lib.rs; \
    echo 'fn main() {}' >node/src/main.rs; \
    cargo build --release --locked --package bigbrotr; \
    rm -rf core schema crawler relay dvm testkit node; \
    find target/release -name '*bigbrotr*' -prune -exec rm -rf {} +
COPY . .
RUN cargo build --release --locked --package bigbrotr

# A pooler that can keep prepared statements apart by client (1.21 or newer), in transaction mode.
FROM debian:trixie-slim AS pgbouncer
RUN apt-get update \
    && apt-get install --yes --no-install-recommends pgbouncer tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10002 pooler \
    && useradd --uid 10002 --gid pooler --no-create-home --no-log-init --shell /usr/sbin/nologin pooler
COPY --chmod=755 deploy/pgbouncer/entrypoint /usr/local/bin/pgbouncer-entrypoint
USER 10002:10002
EXPOSE 6432
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/6432"]
ENTRYPOINT ["tini", "--", "pgbouncer-entrypoint"]

# The way to .onion relays, and the onion service of ours.
FROM debian:bookworm-slim AS tor
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini tor \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10003 onion \
    && useradd --uid 10003 --gid onion --no-create-home --no-log-init --shell /usr/sbin/nologin onion \
    && install --directory --owner onion --group onion --mode 700 /var/lib/tor
USER 10003:10003
ENTRYPOINT ["tini", "--", "tor", "--defaults-torrc", "/dev/null", "-f", "/dev/null", "--DataDirectory", "/var/lib/tor"]
CMD ["--SocksPort", "0.0.0.0:9050"]

FROM debian:bookworm-slim AS node
# tini is process 1: it passes signals on and reaps. Certificates are in the binary.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 bigbrotr \
    && useradd --uid 10001 --gid bigbrotr --create-home --home-dir /var/lib/bigbrotr \
        --no-log-init --shell /usr/sbin/nologin bigbrotr
COPY --from=build /src/target/release/bigbrotr /usr/local/bin/bigbrotr
USER 10001:10001
WORKDIR /var/lib/bigbrotr
EXPOSE 7777 8080 9464
HEALTHCHECK --interval=15s --timeout=10s --start-period=1m --retries=4 \
    CMD ["bigbrotr", "health"]
ENTRYPOINT ["tini", "--", "bigbrotr"]
