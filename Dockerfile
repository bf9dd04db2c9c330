# The image of gateway-apiserver: the binary, and nothing else. LDFLAGS are what `make build` stamps:
#
#   docker build --build-arg LDFLAGS="$(make -s ldflags)" -t ghcr.io/gateway-apiserver/gateway-apiserver:latest .
ARG GO_VERSION=1.26.8
FROM --platform=$BUILDPLATFORM docker.io/library/golang:${GO_VERSION} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY pkg pkg
ARG TARGETOS TARGETARCH LDFLAGS=
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOTOOLCHAIN=local \
    go build -trimpath -ldflags "$LDFLAGS" -o /gateway-apiserver ./cmd/gateway-apiserver

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /gateway-apiserver /gateway-apiserver
USER 65532:65532
ENTRYPOINT ["/gateway-apiserver"]
