# The commands of a day. `just` lists them; https://just.systems

# Lists the commands.
default:
    @just --list

# Formatting, lints and documentation, as the checks want them.
check:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# All tests, or those whose names contain the arguments.
test *names:
    cargo test --workspace {{ names }}

# The tests that need Python, Chromium or test data, as far as these are available.
test-ignored:
    .ci/ignored

# Spelling, old words, long lines.
words:
    typos
    .ci/words

# Wraps comments at column 100, which only the nightly formatter can.
comments:
    cargo +nightly fmt --all -- --config wrap_comments=true,comment_width=100

# Licences, bans, advisories and sources of the dependencies.
deny:
    cargo deny check

# Everything that must hold before a change lands.
ci:
    .ci/run

# Times the layers of networks on one thread, e.g. `just layers resnet18 resnet20`.
layers *networks:
    RAYON_NUM_THREADS=1 cargo bench -p residual-kernels --bench layers -- {{ networks }}

# Times Residual and its peers in turns, e.g. `just compare train resnet-20 --rounds 5`.
compare *arguments:
    bench/peers/compare {{ arguments }}
