/**
 * What runs at the host: fixed, changes nothing, and is given to `/bin/sh -s` on standard input. Each record is a line of a word and fields as
 * `length:base64`, so nothing that a file, a name or a log holds can end a field or begin a record. Private keys, values of variables and the
 * rest of command lines stay at the host: lines are picked there.
 */
import type { SshSourceSettings } from './settings.ts'

/** A path in plain characters, which the settings made sure of, between quotes. */
const quoted = (path: string) => `'${path.replaceAll("'", '')}'`

export const BEGIN = 'reeve-begin-1'
export const END = 'reeve-end-1'

const PRELUDE = String.raw`
LC_ALL=C; TZ=UTC; PATH=/usr/sbin:/usr/bin:/sbin:/bin; export LC_ALL TZ PATH
umask 077
c() { b=$(head -c "$1" | base64 | tr -d '\n'); printf ' %s:%s' "${'$'}{#b}" "$b"; }
f() { printf '%s' "$1" | c 65536; }
nl() { printf '\n'; }
whole() { [ "$(stat -L -c %s -- "$1" 2>/dev/null || echo 0)" -le "$2" ]; }
printf '%s\n' ${BEGIN}
`

// A line that holds a public key; a private one, or a line of any other file that a link led to, is never one.
const HOLDS_KEY = String.raw`'(^|[[:space:]])(ssh-(ed25519|rsa|dss)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)(-cert-v01@openssh\.com)?[[:space:]]+AAAA'`
const KEY_LINES = `grep -a -E ${HOLDS_KEY}`
/** How many lines are neither keys nor comments; which ones stays at the host. */
const OTHER_LINES = String.raw`grep -a -v -E '^[[:space:]]*(#|$)' | grep -a -c -v -E ${HOLDS_KEY}`

/** Of one file; what is longer is said to be read in part. */
const KEY_FILE_BYTES = 16_777_216
export const KEYS_BYTES = 4_194_304
export const SUDOERS_BYTES = 1_048_576
export const ACCOUNTS_BYTES = 16_777_216

const ACCOUNTS = String.raw`
me=$(id -u)
printf self; f "$me"; f "$(cat /etc/machine-id 2>/dev/null)"; f "$(. /etc/os-release 2>/dev/null; printf '%s' "$PRETTY_NAME")"; nl
printf passwd; { getent passwd || cat /etc/passwd; } 2>/dev/null | cut -d: -f1,3-7 | c ${ACCOUNTS_BYTES}; nl
printf group; { getent group || cat /etc/group; } 2>/dev/null | cut -d: -f1,3,4 | c ${ACCOUNTS_BYTES}; nl
`

const SSHD = String.raw`
settings=$(sshd -T -f "$config" 2>/dev/null)
if [ -n "$settings" ]; then printf sshd; printf '%s\n' "$settings" | c 262144; nl; fi
files=$(printf '%s\n' "$settings" | sed -n 's/^authorizedkeysfile //p')
[ -n "$files" ] || files='.ssh/authorized_keys .ssh/authorized_keys2'
ca=$(printf '%s\n' "$settings" | sed -n 's/^trustedusercakeys //p')
if [ -n "$ca" ] && [ "$ca" != none ] && [ -f "$ca" ]; then printf ca; f "$ca"; head -c 1048576 -- "$ca" | ${KEY_LINES} | c 1048576; nl; fi
`

const KEYS = String.raw`
set -f
{ getent passwd || cat /etc/passwd; } 2>/dev/null | while IFS=: read -r user _ uid _ _ home _; do
  for file in $files; do
    case "$file" in none) continue ;; esac
    case "$file" in *%u*) file="${'$'}{file%%%u*}$user${'$'}{file#*%u}" ;; esac
    case "$file" in *%U*) file="${'$'}{file%%%U*}$uid${'$'}{file#*%U}" ;; esac
    case "$file" in *%h*) file="${'$'}{file%%%h*}$home${'$'}{file#*%h}" ;; esac
    case "$file" in /*) ;; *) file="$home/$file" ;; esac
    [ -f "$file" ] || continue
    [ -r "$file" ] || { printf closed; f keys; f "$file"; nl; continue; }
    whole "$file" ${KEY_FILE_BYTES} || { printf closed; f keys; f "$file"; nl; }
    printf keys; f "$user"; f "$uid"; f "$file"; f "$(stat -L -c '%a %u %s' -- "$file" 2>/dev/null)"
    head -c ${KEY_FILE_BYTES} -- "$file" | ${KEY_LINES} | c ${KEYS_BYTES}
    f "$(head -c ${KEY_FILE_BYTES} -- "$file" | ${OTHER_LINES})"; nl
  done
done
set +f
`

const SUDOERS = String.raw`
if [ -e /etc/sudoers ]; then
  for file in /etc/sudoers /etc/sudoers.d/*; do
    [ -f "$file" ] || continue
    case "$file" in /etc/sudoers.d/*.*|*~) continue ;; esac
    if [ -r "$file" ]; then printf sudoers; f "$file"; c ${SUDOERS_BYTES} <"$file"; nl; else printf closed; f sudoers; f "$file"; nl; fi
  done
fi
`

const CREDENTIAL_NAMES = String.raw`(\.(pem|key|p12|pfx|jks|keytab|env|netrc|pgpass|token|kubeconfig)$|[^\/]*(secret|passw|credential|token|id_(rsa|ed25519|ecdsa))[^\/]*$)`

/** Picks paths, and nothing else, out of units and tables. */
const JOBS = String.raw`
pick='
function paths(s, how,   p) {
  while (match(s, /\/[A-Za-z0-9._\/@+-]+/)) {
    p = substr(s, RSTART, RLENGTH); s = substr(s, RSTART + RLENGTH)
    if (tolower(p) ~ /${CREDENTIAL_NAMES}/) print how "\t" p
  }
}
function value(s) { sub(/^[^=]*=[ \t]*/, "", s); return s }
/^[ \t]*[#;]/ { next }
unit && /^User=/ { print "user\t" value($0) }
unit && /^EnvironmentFile=/ { v = value($0); sub(/^-/, "", v); if (v ~ /^\//) print "environment-file\t" v }
unit && /^LoadCredential(Encrypted)?=/ { v = value($0); i = index(v, ":"); v = substr(v, i + 1); if (v ~ /^\//) print "credential\t" v }
unit && /^Exec/ { paths($0, "argument") }
!unit && system_table && NF > 6 && $1 !~ /=/ { print "user\t" ($1 ~ /^@/ ? $2 : $6) }
!unit { paths($0, "argument") }
'
look() {
  [ -f "$2" ] || return 0
  if ! [ -r "$2" ]; then printf closed; f jobs; f "$2"; nl; return 0; fi
  whole "$2" 262144 || { printf closed; f jobs; f "$2"; nl; }
  head -c 262144 -- "$2" | awk -v unit="$3" -v system_table="$4" "$pick" | {
    runs="$5"
    while IFS='	' read -r how path; do
      if [ "$how" = user ]; then runs="$path"; continue; fi
      printf job; f "$1"; f "$2"; f "$runs"; f "$how"; f "$path"; f "$(stat -L -c '%a %u %s' -- "$path" 2>/dev/null)"; nl
    done
  }
}
for folder in /etc/systemd/system /run/systemd/system /usr/lib/systemd/system; do
  for file in "$folder"/*.service "$folder"/*.service.d/*.conf; do look unit "$file" 1 '' ''; done
done
for file in /etc/crontab /etc/cron.d/*; do look cron "$file" '' 1 ''; done
if [ -d /var/spool/cron/crontabs ] && ! [ -r /var/spool/cron/crontabs ]; then printf closed; f jobs; f /var/spool/cron/crontabs; nl; fi
for file in /var/spool/cron/crontabs/* /var/spool/cron/[a-z]*; do [ -f "$file" ] && look cron "$file" '' '' "${'$'}{file##*/}"; done
`

/** Certificates alone: what stands beside them in the file stays there. */
const CERTIFICATES = String.raw`
only='
/^-----BEGIN (TRUSTED )?CERTIFICATE-----/ { b = ""; i = 1 }
/^-----BEGIN/ && !/CERTIFICATE-----/ { i = 0 }
i { b = b $0 "\n" }
i && /^-----END (TRUSTED )?CERTIFICATE-----/ { printf "%s", b; i = 0 }
'
soh=$(printf '\001')
for folder in $folders; do
  [ -e "$folder" ] || continue
  if ! { [ -r "$folder" ] && [ -x "$folder" ]; }; then printf closed; f certificates; f "$folder"; nl; continue; fi
  find "$folder" -xdev -maxdepth 6 \( -name '*.pem' -o -name '*.crt' -o -name '*.cer' -o -name '*.key' \) -print0 2>/dev/null | tr '\n\0' '\001\n' | {
  seen=0
  while IFS= read -r file; do
    seen=$((seen + 1))
    # More files than are read, or a name with a line end in it: said, not passed over.
    if [ "$seen" -gt 5000 ]; then printf closed; f certificates; f "$folder"; nl; break; fi
    case "$file" in *"$soh"*) printf closed; f certificates; f "$file"; nl; continue ;; esac
    [ -f "$file" ] || continue
    if ! [ -r "$file" ]; then printf closed; f certificates; f "$file"; nl; continue; fi
    whole "$file" 1048576 || { printf closed; f certificates; f "$file"; nl; }
    meta=$(stat -L -c '%a %u %s' -- "$file" 2>/dev/null)
    if head -c 1048576 -- "$file" | grep -a -q -e '^-----BEGIN.*CERTIFICATE-----'; then
      printf cert; f "$file"; f "$meta"; head -c 1048576 -- "$file" | awk "$only" | c 1048576; nl
    fi
    if head -c 1048576 -- "$file" | grep -a -q -e '^-----BEGIN .*PRIVATE KEY-----'; then
      printf pkey; f "$file"; f "$meta"; openssl pkey -in "$file" -passin pass: -pubout 2>/dev/null </dev/null | c 65536; nl
    fi
  done
  }
done
`

const LOGINS = String.raw`
if command -v last >/dev/null 2>&1 && [ -r /var/log/wtmp ]; then printf last; last -w --time-format iso -n 20000 2>/dev/null | c 4194304; nl; fi
printf '%s\n' ${END}
`

/** Everything that is listed, in one go. */
export function listScript({ sshdConfig, certificateFolders }: SshSourceSettings): string {
  const given = `config=${quoted(sshdConfig)}\nfolders='${certificateFolders.map((path) => path.replaceAll("'", '')).join(' ')}'\n`
  return [PRELUDE, given, ACCOUNTS, SSHD, KEYS, SUDOERS, JOBS, CERTIFICATES, LOGINS].join('')
}

/** A piece of the log, from a place on; its inode and size first. */
export function logScript(
  path: string,
  from: { readonly inode: string; readonly offset: number },
  bytes: number,
): string {
  return `${PRELUDE}
log=${quoted(path)}
if ! [ -f "$log" ]; then printf absent; nl
elif ! [ -r "$log" ]; then printf closed; f log; f "$log"; nl
else
  set -- $(stat -L -c '%i %s' -- "$log")
  from=${from.offset}
  if [ "$1" != '${from.inode.replaceAll(/\D/g, '')}' ] || [ "$2" -lt "$from" ]; then from=0; fi
  printf log; f "$1"; f "$2"; f "$from"; tail -c "+$((from + 1))" -- "$log" | c ${bytes}; nl
fi
printf '%s\\n' ${END}
`
}
