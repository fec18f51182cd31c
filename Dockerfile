# The node, for a database elsewhere: see compose.yaml.
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package bigbrotr

FROM debian:bookworm-slim
RUN useradd --system --create-home --home-dir /var/lib/bigbrotr bigbrotr
COPY --from=build /src/target/release/bigbrotr /usr/local/bin/bigbrotr
USER bigbrotr
WORKDIR /var/lib/bigbrotr
EXPOSE 7777 8080 9464
ENTRYPOINT ["bigbrotr"]
