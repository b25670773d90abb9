# ff-observe without a shell or a package manager: Debian's Python, the locked dependencies, the wheel.
#   docker build --tag ff-observe .
ARG DEBIAN=debian:bookworm-slim

FROM ${DEBIAN} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /debian
# What Python and the wheels link to. ncurses, readline, Berkeley DB and NIS are left out, and what imports them.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends 'ca-certificates=20*' 'python3.11-venv=3.11.*' \
    && apt-get download libbz2-1.0 libc6 libcrypt1 libexpat1 libffi8 libgcc-s1 liblzma5 libpython3.11-minimal \
        libpython3.11-stdlib libsqlite3-0 libssl3 libuuid1 python3.11-minimal zlib1g \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /root-of-image
RUN mkdir -p dev etc/ssl/certs opt proc sys tmp usr/src/forge/etc usr/src/forge/var var/lib/dpkg/status.d var/lib/ff-observe \
    && for deb in /debian/*.deb; do \
        dpkg-deb --extract "$deb" . && dpkg-deb --field "$deb" >"var/lib/dpkg/status.d/$(dpkg-deb --field "$deb" Package)"; \
    done \
    && find usr/share -type f ! -name copyright -delete \
    && find usr/share -type d -empty -delete \
    && rm -rf etc/init.d usr/lib/*/gconv usr/share/lintian usr/lib/python3.11/lib-dynload/_curses* \
        usr/lib/python3.11/lib-dynload/_dbm* usr/lib/python3.11/lib-dynload/nis* \
        usr/lib/python3.11/lib-dynload/readline* usr/lib/python3.11/lib2to3 usr/lib/python3.11/pydoc_data \
    && cp /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/ \
    && cp /etc/os-release etc/ \
    && echo 'hosts: files dns' >etc/nsswitch.conf \
    && echo 'ff-observe:x:1000:1000::/nonexistent:/usr/sbin/nologin' >etc/passwd \
    && echo 'ff-observe:x:1000:' >etc/group \
    && chmod 1777 tmp \
    && chown 1000:1000 var/lib/ff-observe \
    && chmod 0700 var/lib/ff-observe \
    && python3.11 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /root-of-image usr/lib/python3.11
WORKDIR /source
COPY deploy/image/requirements.lock deploy/image/build-requirements.lock ./
RUN python3.11 -m venv /opt/build \
    && /opt/build/bin/pip install --no-deps --only-binary :all: --require-hashes -r build-requirements.lock \
    && python3.11 -m venv --without-pip /opt/ff-observe \
    && /opt/build/bin/pip --python /opt/ff-observe/bin/python install \
        --no-compile --no-deps --only-binary :all: --require-hashes -r requirements.lock \
    && python3.11 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/ff-observe/lib
COPY . .
RUN /opt/build/bin/pip wheel --no-build-isolation --no-deps --no-index --wheel-dir /wheel . \
    && /opt/build/bin/pip --python /opt/ff-observe/bin/python install --no-compile --no-deps --no-index /wheel/*.whl \
    && python3.11 -m compileall -q --invalidation-mode unchecked-hash /opt/ff-observe/lib/python3.11/site-packages/ff_observe \
    && rm -f /opt/ff-observe/bin/[Aa]ctivate* \
    && cp -a /opt/ff-observe /root-of-image/opt/

FROM scratch
LABEL org.opencontainers.image.title="ff-observe" \
    org.opencontainers.image.description="Observability bridge for FlowFuse platforms" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.vendor="The ff-observe authors" \
    org.opencontainers.image.base.name="debian:bookworm-slim" \
    org.opencontainers.image.version="0.1.0"
COPY --from=build /root-of-image /
# FlowFuse's home as in FlowFuse's own images; the ledger of pings is kept where a volume is mounted.
ENV PATH=/opt/ff-observe/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    FLOWFORGE_HOME=/usr/src/forge \
    STATE_DIRECTORY=/var/lib/ff-observe
USER 1000:1000
EXPOSE 10464
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["/opt/ff-observe/bin/ff-observe", "health"]
ENTRYPOINT ["/opt/ff-observe/bin/ff-observe"]
CMD ["run"]
