# Two images from one file:
#   docker build -t proctor .                       receiver, light work, sweep (no torch)
#   docker build -t proctor-eval --target eval .    local evals as well
# The Python is the one that constraints.txt was written with.

FROM python:3.11-slim AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /build
RUN python -m venv /opt/proctor
COPY pyproject.toml constraints.txt ./
# The dependencies alone, so that a change of the code does not install them again.
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb')); \
print(*p['project']['dependencies'], sep='\n')" > base.txt \
 && /opt/proctor/bin/pip install -r base.txt -c constraints.txt

FROM dependencies AS build
COPY README.md LICENSE ./
COPY src src
RUN /opt/proctor/bin/pip install --no-deps .

FROM dependencies AS build-eval
# PIP_EXTRA_INDEX_URL may name an index with other builds of torch (CPU only, another CUDA).
ARG PIP_EXTRA_INDEX_URL
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb')); \
print(*p['project']['optional-dependencies']['eval'], sep='\n')" > eval.txt \
 && /opt/proctor/bin/pip install -r eval.txt -c constraints.txt
COPY README.md LICENSE ./
COPY src src
RUN /opt/proctor/bin/pip install --no-deps .

FROM python:3.11-slim AS runtime
RUN useradd --uid 10001 --create-home proctor \
 && install -d -o proctor -g proctor -m 0750 /var/lib/proctor \
 && install -d -m 0755 /etc/proctor
ENV PATH=/opt/proctor/bin:$PATH \
    PROCTOR_HOME=/var/lib/proctor \
    PROCTOR_CONFIG=/etc/proctor/proctor.yaml \
    HF_HOME=/var/lib/proctor/huggingface \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/proctor
USER 10001
ENTRYPOINT ["proctor"]

FROM runtime AS eval
COPY --from=build-eval /opt/proctor /opt/proctor
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD test -n "$(find /var/lib/proctor/alive/worker-eval -mmin -1)"
CMD ["worker", "--queues", "eval"]

FROM runtime AS app
COPY --from=build /opt/proctor /opt/proctor
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '8000')}/healthz\", timeout=3)"]
CMD ["web", "--host", "0.0.0.0"]
