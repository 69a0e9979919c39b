# One image for every service; the command says which: `python -m services.gateway`. Without one, it lists the settings.
# Name a base of your own, by digest, with --build-arg PYTHON_IMAGE=...@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
COPY requirements-image.lock /build/
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install \
        --no-cache-dir --disable-pip-version-check --only-binary :all: --require-hashes --no-deps \
        --requirement /build/requirements-image.lock
COPY contracts /app/contracts
COPY chassis /app/chassis
COPY services /app/services
COPY LICENSE /app/
RUN python -m compileall -q --invalidation-mode unchecked-hash /app

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0.dev0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Voltstream" \
      org.opencontainers.image.description="An event-sourced backend for electric-vehicle charging networks" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --gid 10001 voltstream \
    && useradd --uid 10001 --gid 10001 --no-log-init --home-dir /tmp --no-create-home --shell /usr/sbin/nologin voltstream
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
EXPOSE 8000 8080 9000
CMD ["python", "-m", "services.gateway", "--help"]
