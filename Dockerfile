# One image for web, worker, beat and tick: docker-compose.yml says which is which.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /srv/ciduty

# The change log reads repositories through git itself, some of them over ssh.
RUN apt-get update && apt-get install -y --no-install-recommends git openssh-client && rm -rf /var/lib/apt/lists/*

# What runs is checked by hash, and so is what builds the one dependency that comes as source.
COPY requirements-build.lock requirements.lock ./
RUN pip install --require-hashes -r requirements-build.lock \
 && pip install --require-hashes --no-build-isolation -r requirements.lock \
 && pip uninstall --yes setuptools

RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/ciduty ciduty
COPY . .
RUN python -m compileall -q ciduty loaners downtimes changelog

USER ciduty
ENV CIDUTY_STATE_DIR=/var/lib/ciduty
EXPOSE 8000
CMD ["gunicorn", "ciduty.wsgi:application", "--bind", "0.0.0.0:8000", "--no-control-socket", "--preload", \
     "--worker-class", "gthread", "--workers", "2", "--threads", "4", "--worker-tmp-dir", "/dev/shm"]
