# syntax=docker/dockerfile:1
# The image of spark-admission: one static binary, and nothing else.
#
#   docker build -t spark-admission .
#   make image        # with the binary of `make static-binary`, without compiling again: of the final stage alone, by buildah

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN scripts/static-binary && cp target/static/spark-admission /spark-admission

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="spark-admission" \
      org.opencontainers.image.description="An admission webhook that makes Spark work on Kubernetes start at the first submission" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build --chown=0:0 --chmod=755 /spark-admission /spark-admission
# Nobody in particular, and by number: there is no passwd file that the kubelet could look a name up in to see that it is not root.
USER 65532:65532
EXPOSE 8443 8080
ENTRYPOINT ["/spark-admission"]
CMD ["serve"]
