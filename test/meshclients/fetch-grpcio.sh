#!/usr/bin/env bash
# Unpacks gRPC's C++ core, as Debian 12 has it for its Python, into a folder: fetch-grpcio.sh FOLDER. With it come the libraries
# that this machine doesn't have. apt verifies what it downloads. Nothing is installed, nothing of the machine's apt is changed,
# and nobody needs to be root.
set -euo pipefail

fail() {
	echo "fetch-grpcio: $1" >&2
	exit 1
}

folder=${1:?the folder to unpack into}
release=$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}") || true
[ "$release" = bookworm ] || fail 'this machine is not Debian 12 (bookworm), whose package of gRPC is tested'
[ -x /usr/bin/python3 ] || fail 'there is no /usr/bin/python3: install python3'

mkdir -p "$(dirname "$folder")"
work=$(cd "$(dirname "$folder")" && mktemp -d -p "$PWD")
trap 'rm -rf "$work"' EXIT
mkdir "$work"/{lists,archives,debs,root}
# Added to the machine's own configuration, which says where packages come from.
cat >"$work/apt.conf" <<EOF
Dir::State::Lists "$work/lists";
Dir::Cache "$work/archives";
APT::Sandbox::User "";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
EOF
apt=(apt-get -q -c "$work/apt.conf")

"${apt[@]}" update
# Lines are "'URL' NAME_VERSION_ARCHITECTURE.deb SIZE HASH", for what isn't installed.
missing=$("${apt[@]}" -qq --yes --print-uris install python3-grpcio)
mapfile -t packages < <({ echo python3-grpcio; awk '{ sub(/_.*/, "", $2); print $2 }' <<<"$missing"; } | sed '/^$/d' | sort -u)
(cd "$work/debs" && "${apt[@]}" download "${packages[@]}")
for deb in "$work"/debs/*.deb; do
	dpkg -x "$deb" "$work/root"
done
rm -rf "$folder"
mv "$work/root" "$folder"
touch "$folder" # has the age of its package
echo "fetch-grpcio: unpacked ${packages[*]}"
