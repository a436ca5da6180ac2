# The GPU image. torch's wheels carry CUDA, so the base is a slim Python, and the host needs NVIDIA's driver and
# container toolkit, nothing else.
#
#   docker build --tag mmspec .
#   docker run --rm --gpus all --ipc=host --user "$(id -u):$(id -g)" --volume "$PWD/exp:/exp" \
#       mmspec recipes/demo/run.sh --exp /exp
FROM python:3.11-slim

# gcc for Triton, which compiles kernels as they are first used, and for PESQ, which is compiled as it is installed; curl
# for the recipes that fetch data.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

# Whoever the container runs as (docker run --user) finds a home for the caches of torch, Triton and matplotlib.
RUN useradd --create-home mmspec && chmod 1777 /home/mmspec
ENV HOME=/home/mmspec USER=mmspec

# Dependencies before sources: a change of the code costs seconds, not gigabytes.
WORKDIR /opt/mmspec
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
        extras = [p['optional-dependencies'][x] for x in ('trackers', 'eval-image', 'eval-speech')]; \
        print(*p['dependencies'], *sum(extras, []), sep='\n')" > requirements.txt \
    && pip install --no-cache-dir --constraint constraints.txt --requirement requirements.txt

COPY README.md LICENSE setup.py ./
COPY mmspec mmspec/
COPY data_prep data_prep/
COPY recipes recipes/
RUN pip install --no-cache-dir --no-deps .

USER mmspec
HEALTHCHECK --interval=10m --timeout=2m CMD ["mmspec", "info"]
CMD ["mmspec"]
