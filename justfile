# Short names for what the README and CONTRIBUTING describe; `just` lists them. Nothing here is needed: each is one command.

default:
    @just --list

# The whole path on your machine: signed samples in, mail, Slack and metrics out
demo *ARGS:
    cargo run -- demo {{ARGS}}

# All tests, or those whose names match
test *ARGS:
    bash scripts/test.sh {{ARGS}}

# What must pass before a change lands
ci:
    bash .ci/run

# Formatting and lints
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings

# What judging costs, in ratios of one run
bench:
    cargo bench --bench rules

# The documents as a book, in target/book
book:
    bash scripts/book.sh

# The image, with podman or docker
image TOOL="podman":
    {{TOOL}} build -f deploy/Containerfile -t tollbell .
