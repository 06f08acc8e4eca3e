# A headless peerd: docker build -t peerd . && docker run -v peerd:/var/lib/peerd peerd
FROM golang:1.26-trixie AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY scripts/setup scripts/setup
RUN scripts/setup && go mod download
COPY . .
RUN make build

FROM debian:trixie-slim
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends ca-certificates libopus0 libportaudio2 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/peerd --create-home peerd
COPY --from=build /src/bin/peerd /usr/local/bin/peerd
ENV PEERD_HOME=/var/lib/peerd PEERD_MEDIA_PORT=27471 PEERD_RELAY_PORT=27472
USER peerd
VOLUME /var/lib/peerd
# The overlay (QUIC and TCP), the media, and STUN/TURN when it is a server.
EXPOSE 27470/udp 27470/tcp 27471/udp 27472/udp 27472/tcp
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s CMD ["peerd", "status", "--wait", "online", "--timeout", "3s"]
ENTRYPOINT ["peerd"]
CMD ["daemon", "--audio", "null"]
