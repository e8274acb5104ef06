# syntax=docker/dockerfile:1
# One image for every role; docker-compose.yml says which process is which. No secret is ever copied in.

FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements/ requirements/
# The environment has no pip of its own: it is filled from outside and cannot install anything later.
RUN python -m venv --without-pip /opt/purser
RUN python -m pip --python /opt/purser/bin/python install --no-cache-dir --no-compile --require-hashes -r requirements/runtime.txt
# What builds the wheel is locked too, and stays behind in this stage.
RUN awk '/^[a-zA-Z0-9]/ { wanted = /^setuptools==/ } wanted' requirements/dev.txt > requirements/build.txt \
    && python -m pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml ./
COPY purser/ purser/
COPY events/ events/
COPY tasks/ tasks/
COPY schedules/ schedules/
COPY odoo_client/ odoo_client/
COPY store/ store/
COPY config/ config/
COPY workers/ workers/
COPY gateway/ gateway/
COPY console/ console/
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /src/dist . \
    && python -m pip --python /opt/purser/bin/python install --no-cache-dir --no-deps --no-index /src/dist/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/purser --create-home purser
COPY --from=build /opt/purser /opt/purser
ENV PATH=/opt/purser/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER purser
# An empty folder: Celery imports from where it stands, and here nothing can hide the installed packages.
WORKDIR /var/lib/purser
# Each role has a check of its own.
HEALTHCHECK NONE
CMD ["purser", "--help"]
