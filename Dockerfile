# Builds Pintail from source. The build compiles DuckDB: half an hour on two cores, the first time.
#
#   docker build -t pintail .
#   docker run --rm --env-file secrets.env -v /srv/pintail:/data pintail run team

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep DuckDB compiled from one build to the next; the program is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin pintail \
    && cp target/release/pintail /usr/local/bin/pintail

FROM debian:bookworm-slim
# HTTPS needs root certificates; the program is linked with the C++ library.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home pintail
COPY --from=build /usr/local/bin/pintail /usr/local/bin/pintail
USER 10001
# config.toml, pipelines/, state/ and the warehouse.
WORKDIR /data
ENTRYPOINT ["/usr/local/bin/pintail"]
CMD ["--help"]
