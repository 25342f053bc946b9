#!/usr/bin/env bash
# Sees to it that everything the tests need is on this machine. As root on a
# Debian-like system it installs what is missing; anywhere else it says what to
# install and fails. Where nothing is missing it does nothing. What comes from npm it
# installs beside this file.
#
# To add a need: write a function have_NAME that finds it, and a line in look.
set -euo pipefail

look() { # fills missing (what, in words) and packages (Debian's names)
	missing=() packages=()
	need browser chromium "a browser, Chromium or Chrome, for the tests of the pages"
	need fonts fonts-dejavu-core "a font for the browser"
	need compiler gcc "a C compiler for the race detector"
	need libc libc6-dev "the C library's headers for the race detector"
	need postgresql postgresql "PostgreSQL, of which the tests start servers of their own"
	need mariadb "mariadb-server-core mariadb-client-core" "MariaDB or MySQL, likewise"
	need nginx nginx-light "nginx with auth_request, likewise"
	need haproxy haproxy "HAProxy with Lua, likewise"
	need apache "apache2-bin libapache2-mod-auth-openidc" "Apache with mod_auth_openidc, likewise"
	need agent oidc-agent-cli "oidc-agent, which signs in as a device"
	need node "nodejs npm" "Node.js 18 or newer with npm, for OpenID providers and clients, likewise"
	need oathtool oathtool "oathtool, whose one-time passwords ours must agree with"
}

# need NAME PACKAGES WHAT: unless have_NAME finds it, note the Debian packages
# (separated by spaces) and what they are for.
need() {
	if "have_$1"; then return; fi
	local package
	for package in $2; do packages+=("$package"); done
	missing+=("$3 (Debian: $2)")
}

have_command() { # whether any of the given commands exists
	local name
	for name in "$@"; do
		if command -v "$name" >/dev/null 2>&1; then return 0; fi
	done
	return 1
}

has_text() { # whether the input has a text; reads it all, since grep -q breaks pipes
	grep "$1" >/dev/null
}

have_browser() {
	have_command chromium chromium-browser google-chrome google-chrome-stable headless-shell headless_shell ||
		[ -x "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" ]
}

have_fonts() { # without any, Chromium draws empty boxes
	case $(uname -s) in Linux) ;; *) return 0 ;; esac
	local folder
	for folder in /usr/share/fonts /usr/local/share/fonts "${HOME:-}/.fonts" "${HOME:-}/.local/share/fonts"; do
		if [ -d "$folder" ] && [ -n "$(find -L "$folder" \( -name '*.ttf' -o -name '*.otf' \) -print -quit)" ]; then
			return 0
		fi
	done
	return 1
}

have_compiler() { # the race detector is linked with cgo
	local cc
	cc=$(go env CC)
	have_command "${cc%% *}" # without its flags
}

have_libc() { # a compiler may be there without them
	case $(uname -s) in Linux) [ -e /usr/include/stdlib.h ] ;; esac
}

have_postgresql() { # Debian keeps it out of PATH, a folder for each version
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || have_command initdb
}

have_mariadb() { # in folders that only root may have in PATH
	local PATH=$PATH:/usr/sbin:/usr/local/sbin
	if have_command mariadbd; then
		have_command mariadb-install-db && have_command my_print_defaults
	else
		have_command mysqld
	fi
}

have_nginx() {
	local PATH=$PATH:/usr/sbin:/usr/local/sbin
	have_command nginx && nginx -V 2>&1 | has_text http_auth_request_module
}

have_haproxy() {
	local PATH=$PATH:/usr/sbin:/usr/local/sbin
	have_command haproxy && haproxy -vv 2>&1 | has_text 'Built with Lua'
}

have_apache() {
	local PATH=$PATH:/usr/sbin:/usr/local/sbin
	have_command apache2 httpd && compgen -G '/usr/lib*/*/modules/mod_auth_openidc.so' >/dev/null
}

have_agent() { have_command oidc-agent && have_command oidc-gen && have_command oidc-token; }

have_node() {
	have_command node && have_command npm && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'
}

have_oathtool() { have_command oathtool; }

# parties installs the OpenID providers and clients of openid/package-lock.json, unless
# npm has done so since that file changed.
parties() {
	local folder
	folder=$(cd "$(dirname "$0")" && pwd)/openid
	if [ "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ]; then return; fi
	say "installing the OpenID providers and clients with npm"
	npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts </dev/null
}

# install PACKAGES: as apt-get does, but removes nothing, starts no service
# (policy-rc.d), and has no system server of PostgreSQL set up.
install() {
	local folder=/etc/postgresql-common/createcluster.d
	local setting=$folder/gatehouse-tests.conf
	local policy=/usr/sbin/policy-rc.d
	if [ -e "$policy" ]; then policy=''; fi # somebody has decided
	mkdir -p "$folder"
	trap "rm -f $setting $policy; rmdir --ignore-fail-on-non-empty -p $folder" EXIT
	if [ -n "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	echo 'create_main_cluster = false' >"$setting"
	apt-get install -q -y --no-install-recommends --no-remove "$@" </dev/null
}

say() { printf 'setup: %s\n' "$*"; }

if ! have_command go; then
	say "go is not on PATH: install Go $(awk '$1 == "go" { print $2 }' "$(dirname "$0")/../go.mod") or newer" >&2
	exit 1
fi

look
if [ ${#missing[@]} -eq 0 ]; then
	parties
	say "everything the tests need is here"
	exit 0
fi

say "the tests need what is not on this machine:"
printf '  - %s\n' "${missing[@]}"
if ! have_command apt-get; then
	say "install it with this system's package manager and try again" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	say "only root can install it; run this, then try again:" >&2
	echo "  sudo apt-get update && sudo apt-get install --no-install-recommends ${packages[*]}" >&2
	exit 1
fi

say "installing ${packages[*]} with apt-get"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q </dev/null
install "${packages[@]}"

look
if [ ${#missing[@]} -gt 0 ]; then
	say "apt-get is done, and still there is no:" >&2
	printf '  - %s\n' "${missing[@]}" >&2
	exit 1
fi
parties
say "everything the tests need is here now"
