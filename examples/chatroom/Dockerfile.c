# chatroom.c as an image, from the project's root: docker build -f examples/chatroom/Dockerfile.c -t chatroom .
FROM debian:12 AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev meson ninja-build pkg-config python3 npm \
    libssl-dev libcjose-dev libjansson-dev libhiredis-dev libsqlite3-dev libpq-dev libnghttp2-dev libprotobuf-c-dev protobuf-c-compiler libyaml-dev liburiparser-dev libc-ares-dev zlib1g-dev libcmocka-dev liblua5.1-0-dev
COPY . /sennit
WORKDIR /sennit
RUN npm ci --omit=dev --ignore-scripts && meson setup /out --buildtype=release --prefix=/usr && ninja -C /out src/embed/libsennit.so.0.1.0 examples/chatroom

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libssl3 libcjose0 libjansson4 libhiredis0.14 libsqlite3-0 libpq5 libnghttp2-14 libprotobuf-c1 libyaml-0-2 liburiparser1 libc-ares2 zlib1g && \
    rm -rf /var/lib/apt/lists/* && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin sennit
COPY --from=build /out/src/embed/libsennit.so.0.1.0 /usr/lib/libsennit.so.0
COPY --from=build /out/examples/chatroom /usr/local/bin/chatroom
COPY --from=build /sennit/node_modules/socket.io-client/dist /srv/client
# All of web: the pages share files by links.
COPY web /srv/web
COPY examples/chatroom/chatroom.yaml /srv/examples/chatroom/chatroom.yaml
ENV SENNIT_CLIENT_DIR=/srv/client
USER 10001:10001
CMD ["chatroom", "--config", "/srv/examples/chatroom/chatroom.yaml"]
