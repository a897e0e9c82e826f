#!/bin/sh
# Unpacks the ELF image that a compressed kernel (bzImage) holds:
#
#	scripts/extract-vmlinux.sh /boot/vmlinuz-6.1.0-amd64 > vmlinux
#
# The kernel's payload is one compressed stream (Documentation/arch/x86/boot.rst,
# payload_offset); it is found by the magic numbers of the formats.
set -eu

if [ $# -ne 1 ] || [ ! -f "$1" ]; then
	echo "usage: $0 VMLINUZ > vmlinux" >&2
	exit 2
fi
image=$1
out=$(mktemp)
trap 'rm -f "$out"' EXIT

try() { # magic number, decompressor
	for at in $(LC_ALL=C grep -obUaP "$1" "$image" | cut -d: -f1); do
		# What follows the stream is an error for the decompressor, and its output is good.
		tail -c +$((at + 1)) "$image" | $2 2>/dev/null >"$out" || true
		if [ "$(head -c 4 "$out" | tail -c 3)" = ELF ]; then
			cat "$out"
			exit 0
		fi
	done
}

try '\xfd7zXZ\x00' 'xz -dc'
try '\x28\xb5\x2f\xfd' 'zstd -dc'
try '\x1f\x8b\x08' 'gzip -dc'
try '\x02!L\x18' 'lz4 -dc'
try 'BZh' 'bzip2 -dc'
try '\x5d\x00\x00\x00' 'xz -dc --format=lzma'
echo "$0: $image: no kernel image found in it, or its decompressor is not installed" >&2
exit 1
