# The image of the service for production. Build it with: docker build -t llm-orchestration .
# compose.yaml and deploy/kubernetes.yaml show how to run it.

FROM python:3.11-slim AS build
COPY requirements.txt /tmp/requirements.txt
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /tmp/requirements.txt

FROM python:3.11-slim
# tini is the init: it passes signals on, and takes care of processes whose parent has ended. Its version does not matter.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home --home-dir /srv service \
    && install --directory --owner=service --group=service /srv/app /srv/spool /srv/logs
COPY --from=build /venv /venv
COPY --chown=service:service manage.py /srv/app/
COPY --chown=service:service access /srv/app/access
COPY --chown=service:service chat /srv/app/chat
COPY --chown=service:service llm /srv/app/llm
COPY --chown=service:service orchestration_site /srv/app/orchestration_site
COPY --chown=service:service stats /srv/app/stats
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENVIRONMENT=production \
    SPOOL_DIR=/srv/spool \
    LOG_DIR=/srv/logs
WORKDIR /srv/app
USER 10001
EXPOSE 8000
# This asks /health and not /health/ready, which also fails when the database is away: a restart would not bring that
# back.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
# After SIGTERM, open calls have SHUTDOWN_GRACE seconds to end. Whatever stops the container must wait longer than that.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--"]
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--port", "8000", "--workers", "2"]
