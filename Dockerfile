FROM python:3.11-slim AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements-build.lock ./
RUN python -m venv --without-pip /opt/lossmeter \
    && pip install --require-hashes -r requirements-build.lock

FROM python:3.11-slim AS base
LABEL org.opencontainers.image.title="lossmeter" \
      org.opencontainers.image.description="Loss evaluation over REST and gRPC" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/lossmeter/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin lossmeter
# By number, so that an orchestrator can see that it is not root.
USER 10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
# No proxy is asked, whatever the environment says: http.client reads none of it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", \
    "import os, ssl, sys; from http.client import HTTPConnection, HTTPSConnection; \
     at = '127.0.0.1', int(os.environ.get('LOSSMETER_HTTP_PORT', 8080)); \
     tls = 'LOSSMETER_TLS_CERTIFICATE' in os.environ; \
     c = HTTPSConnection(*at, timeout=2, context=ssl._create_unverified_context()) if tls \
         else HTTPConnection(*at, timeout=2); \
     c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["lossmeter"]

# Dependencies before source: a change of source alone does not install them again.
FROM builder AS gpu-builder
COPY requirements-gpu.lock ./
RUN pip --python /opt/lossmeter/bin/python install --require-hashes -r requirements-gpu.lock
COPY pyproject.toml LICENSE ./
COPY service service
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && pip --python /opt/lossmeter/bin/python install --no-deps dist/*.whl

FROM base AS gpu
# What the NVIDIA container runtime lets in.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=gpu-builder /opt/lossmeter /opt/lossmeter
CMD ["serve", "--host", "0.0.0.0", "--open-to-all", "--backend", "onnx", "--device", "cuda"]

FROM builder AS cpu-builder
COPY requirements.lock ./
RUN pip --python /opt/lossmeter/bin/python install --require-hashes -r requirements.lock
COPY pyproject.toml LICENSE ./
COPY service service
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && pip --python /opt/lossmeter/bin/python install --no-deps dist/*.whl
# What nothing here imports: tests, headers and sources, the parts of pyarrow that speak to other
# machines, and what ONNX Runtime brings for those who make models. make container-check imports
# every module of the service in what is left, and evaluates in every form.
RUN cd /opt/lossmeter/lib/python3.*/site-packages \
    && rm -rf pyarrow/*flight* pyarrow/*s3* pyarrow/*parquet_encryption* pyarrow/*_cpp_tests* \
        pyarrow/libarrow_python.so pyarrow/libarrow_python.so.*.* pyarrow/include pyarrow/src \
        onnx/backend/test onnxruntime/datasets onnxruntime/quantization onnxruntime/tools \
        onnxruntime/transformers \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && find . -type f -regex '.*\.\(a\|cc\|cpp\|h\|hpp\|pxd\|pxi\|pyi\|pyx\)' -delete

FROM base AS cpu
COPY --from=cpu-builder /opt/lossmeter /opt/lossmeter
CMD ["serve", "--host", "0.0.0.0", "--open-to-all"]
