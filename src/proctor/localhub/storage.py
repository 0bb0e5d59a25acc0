"""Which files are large: kept as LFS, served from the CDN."""

_LARGE = tuple(
    """
    7z arrow avro bin bz2 ckpt ftz gguf gz h5 joblib mlmodel model msgpack npy npz onnx ot parquet
    pb pickle pkl pt pth rar safetensors tar tflite tgz wasm xz zip zst
    """.split()  # noqa: SIM905 -- one suffix a line would be forty lines
)

# The start of every repository, like the one that the Hub writes.
GITATTRIBUTES = "".join(
    f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in _LARGE
).encode()

# https://huggingface.co/docs/hub/repositories-getting-started: files over 10 MB need LFS.
_REGULAR_LIMIT = 10 * 2**20


def is_large(path: str, size: int) -> bool:
    """By suffix or by size in bytes. Empty files never are: the client sends them inline.

    A repository's own .gitattributes is not consulted.
    """
    name = path.rpartition("/")[2]
    return size > 0 and (size > _REGULAR_LIMIT or name.rpartition(".")[2].lower() in _LARGE)
